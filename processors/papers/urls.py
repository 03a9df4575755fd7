"""The paper manager's own pages, below /papers/."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import views

app_name = "papers"
login = LoginView.as_view(template_name="papers/login.html", next_page="papers:papers")
urlpatterns = [
    path("", views.papers, name="papers"),
    path("login", login, name="login"),
    path("logout", LogoutView.as_view(next_page="papers:login"), name="logout"),
    path("<str:paper_id>/", views.paper, name="paper"),
    path("<str:paper_id>/analyses", views.analyses, name="analyses"),
    path("<str:paper_id>/analyse", views.analyse, name="analyse"),
    path("<str:paper_id>/retry", views.retry, name="retry"),
    path("<str:paper_id>/cancel", views.cancel, name="cancel"),
]
