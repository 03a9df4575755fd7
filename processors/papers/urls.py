"""The paper manager's own pages, below /papers/. Ids of papers may have slashes: other systems' are DOIs, too."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import views

app_name = "papers"
login = LoginView.as_view(template_name="papers/login.html", next_page="papers:papers")
urlpatterns = [
    path("", views.papers, name="papers"),
    path("login", login, name="login"),
    path("logout", LogoutView.as_view(next_page="papers:login"), name="logout"),
    path("<path:paper_id>/", views.paper, name="paper"),
    path("<path:paper_id>/analyses", views.analyses, name="analyses"),
    path("<path:paper_id>/analyse", views.analyse, name="analyse"),
    path("<path:paper_id>/retry", views.retry, name="retry"),
    path("<path:paper_id>/cancel", views.cancel, name="cancel"),
]
