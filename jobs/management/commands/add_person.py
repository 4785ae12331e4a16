"""`manage.py add_person`: make an account for somebody who looks at the dashboard, or give them a new password."""

import getpass

from django.contrib.auth import get_user_model, password_validation
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from jobs.console.asker import at_this_terminal
from jobs.people.accounts import SUPERUSER, add_person, mend_person, new_password
from jobs.people.roles import OPERATOR, ROLES
from jobs.schema import check_database


class Command(BaseCommand):
    help = (
        "Make an account for a person. The password is made up and shown once, in the last line, after "
        '"password: "; the person changes it under "Account".'
    )

    def create_parser(self, prog_name, subcommand, **options):
        return super().create_parser(prog_name, subcommand, allow_abbrev=False, **options)

    def add_arguments(self, parser) -> None:
        parser.add_argument("name", help="what they sign in with")
        parser.add_argument(
            "--role", choices=[*ROLES, SUPERUSER, "none"], help=f"what they may do; of a new person: {OPERATOR}"
        )
        passwords = parser.add_mutually_exclusive_group()
        passwords.add_argument("--prompt", action="store_true", help="ask for the password instead of making one up")
        passwords.add_argument("--no-password", action="store_true", help="single sign-on only")
        there = parser.add_mutually_exclusive_group()
        there.add_argument("--if-missing", action="store_true", help="do nothing if the name is taken")
        there.add_argument(
            "--again", action="store_true", help="of somebody who is there: a new password, the role if one is named"
        )

    def handle(self, *, name: str, role: str | None, if_missing: bool, again: bool, **options) -> None:
        check_database()
        people = get_user_model()
        user = people.objects.filter(username=people.normalize_username(name)).first()
        if user and if_missing:
            return
        if user and not again:
            raise CommandError(f"{name} is there already: --again gives a new password.")
        if again and not user:
            raise CommandError(f"There is no {name}: leave out --again to make the account.")
        password = self._password(user or people(username=name), **options)
        who = at_this_terminal()
        try:
            if user:
                mend_person(user, role, password, who)
            else:
                user = add_person(name, role or OPERATOR, password, who)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"name: {user.get_username()}")
        self.stdout.write(f"password: {password}" if password and not options["prompt"] else "password: not shown")

    def _password(self, user, *, prompt: bool, no_password: bool, **_) -> str | None:
        if no_password:
            return None
        if not prompt:
            return new_password()
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Once more: "):
            raise CommandError("The two were not the same.")
        try:
            password_validation.validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        return password
