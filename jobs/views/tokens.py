"""The page where people make and revoke their own tokens for programs."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jobs.models import ApiToken
from jobs.people.access import allowed, who
from jobs.people.asking import revoke_tokens
from jobs.people.tokens import MOST_DAYS, MOST_TOKENS, USUAL_DAYS, TooManyTokens, make_token
from jobs.text import UNSAFE_CHARACTERS

MOST_SHOWN = 100
# In the session: which forms have made a token, the last ones.
_MADE, _MOST_REMEMBERED = "tokens_made_by", 20


class TokenForm(forms.Form):
    """What a new token is for, how long it lasts, and whether it may change things."""

    name = forms.CharField(max_length=64, label="What will use it?", help_text="For example: nightly report")
    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, initial=USUAL_DAYS, label="Days until it expires", help_text="At most a year."
    )
    may_change = forms.BooleanField(
        required=False,
        label="It may change things",
        help_text="Cancel, kill, retry and switch, as far as you may. Without this it only reads.",
    )

    def clean_name(self) -> str:
        name = UNSAFE_CHARACTERS.sub(" ", self.cleaned_data["name"]).strip()
        if not name:
            raise forms.ValidationError("Say what will use it.")
        return name


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed()
def tokens(request: HttpRequest) -> HttpResponse:
    """A new token is in the answer to the form and nowhere else: not in an address, not in a session, not in a log."""
    form, made, secret = TokenForm(request.POST or None), None, ""
    if _was_made(request):
        messages.warning(request, "That token was made already, and is not shown again. If it was not kept, revoke it.")
        form = TokenForm()
    elif request.method == "POST" and form.is_valid():
        try:
            made, secret = make_token(request.user, who=who(request), **form.cleaned_data)
            _note_made(request)
            form = TokenForm()
        except TooManyTokens:
            form.add_error(None, f"You have {MOST_TOKENS} tokens: revoke one that is not used any more.")
    context = {"title": "Tokens", "form": form, "made": made, "secret": secret, "tokens": _own(request)}
    context["once"] = get_random_string(32)
    return render(request, "people/tokens.html", context)


@require_POST
@allowed()
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Only one's own; administrators revoke others' in the admin."""
    token = get_object_or_404(ApiToken, pk=pk, user=request.user)
    revoke_tokens([token.pk], who(request), "By its owner, on the page of the account.")
    return redirect("tokens")


def _was_made(request: HttpRequest) -> bool:
    """Whether this very form was sent before: a page that is loaded again sends it once more."""
    return bool(request.POST.get("once")) and request.POST["once"] in request.session.get(_MADE, ())


def _note_made(request: HttpRequest) -> None:
    if once := request.POST.get("once", "")[:64]:
        request.session[_MADE] = [*request.session.get(_MADE, ()), once][-_MOST_REMEMBERED:]


def _own(request: HttpRequest) -> list[dict]:
    now = timezone.now()
    rows = []
    for token in ApiToken.objects.filter(user=request.user)[:MOST_SHOWN]:
        is_over = token.expires_at is not None and token.expires_at <= now
        state = "revoked" if token.revoked_at else "expired" if is_over else "valid"
        rows.append({"token": token, "state": state})
    return rows
