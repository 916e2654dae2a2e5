"""Every address of the site."""

from django.urls import include, path
from django.views.i18n import set_language

from recsite import about, account, feedback, news, shop

urlpatterns = [
    path("", about.home, name="home"),
    path("about/", about.about, name="about"),
    path("shop/", include((shop.urlpatterns, "shop"))),
    path("news/", include((news.urlpatterns, "news"))),
    path("account/", include(account.urlpatterns)),
    path("feedback/", include((feedback.urlpatterns, "feedback"))),
    path("dashboard/", include(("recsite.dashboard.urls", "dashboard"))),
    path("language/", set_language, name="set-language"),
    path("api/", include(("recsite.api.urls", "api"))),
]

handler500 = "recsite.outage.server_error"
