"""Saved views: a name for the filters of the jobs list, for oneself. Some are always there."""

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.crypto import get_random_string
from django.utils.http import urlencode
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from jobs.log import escape
from jobs.models import SavedView
from jobs.people.access import allowed
from jobs.views.job_filters import filters_of

MINE = "mine"
# Slug -> name, filters.
BUILT_IN = {
    "stuck": ("Stuck > 30 min", {"age": "stuck", "sort": "longest"}),
    "failed-today": ("Failed today", {"state": "failed", "age": "24h"}),
    MINE: ("Mine", {}),
}
MOST_VIEWS = 50


def views_of(user) -> QuerySet:
    return (SavedView.objects.filter(owner=user) | SavedView.objects.filter(owner=None)).order_by("name", "pk")


@require_safe
@allowed()
def saved_view(request: HttpRequest, slug: str) -> HttpResponse:
    if slug in BUILT_IN:
        filters = {"by": request.user.get_username()} if slug == MINE else BUILT_IN[slug][1]
        return redirect(f"{reverse('jobs')}?{urlencode(filters)}")
    view = get_object_or_404(views_of(request.user), slug=slug)
    return redirect(f"{reverse('jobs')}?{view.query}")


class ViewForm(forms.Form):
    name = forms.CharField(max_length=64)
    query = forms.CharField(max_length=1024, required=False)


@require_POST
@allowed()
def save_view(request: HttpRequest) -> HttpResponse:
    form = ViewForm(request.POST)
    query = filters_of(QueryDict(form.data.get("query", "")[:1024])).address()
    if not form.is_valid():
        messages.error(request, "Nothing was saved: a view needs a name of at most 64 characters.")
    elif SavedView.objects.filter(owner=request.user).count() >= MOST_VIEWS:
        messages.error(request, f"Nothing was saved: you have {MOST_VIEWS} views, delete one first.")
    else:
        name = escape(form.cleaned_data["name"])[:64]
        slug = f"{slugify(name)[:40]}-{get_random_string(8).lower()}".strip("-")
        new = {"query": query, "slug": slug}
        mine = SavedView.objects.filter(owner=request.user)
        mine.update_or_create(owner=request.user, name=name, defaults={"query": query}, create_defaults=new)
        messages.success(request, f"Saved as “{name}”.")
    return redirect(f"{reverse('jobs')}?{query}")


@require_POST
@allowed()
def delete_view(request: HttpRequest, slug: str) -> HttpResponse:
    """Only one's own."""
    deleted, _ = SavedView.objects.filter(owner=request.user, slug=slug).delete()
    if not deleted:
        raise Http404
    messages.success(request, "The view was deleted.")
    return redirect("jobs")
