"""The page where people log in."""

from django.contrib.auth.views import LoginView


class LogIn(LoginView):
    template_name = "people/log_in.html"
    redirect_authenticated_user = True
    extra_context = {"title": "Sign in"}
