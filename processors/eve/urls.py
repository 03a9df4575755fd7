"""The EVE companion's own pages, below /eve/."""

from django.urls import path

from . import views

app_name = "eve"
urlpatterns = [
    path("", views.characters, name="characters"),
    path("login", views.login, name="login"),
    path("callback", views.callback, name="callback"),
    path("<int:character_id>/forget", views.forget, name="forget"),
]
