"""Sources as the app makes them: one a scheme, hubs where the settings say."""

import pytest

from littoral.app.settings import load
from littoral.app.sources import sources
from littoral.domain.errors import InvalidInput
from littoral.jobs.source.hub import HubSource

HOME = {"HOME": "/home/ada"}


def test_every_scheme_has_a_source():
    made = sources(load({}, HOME), {})
    assert sorted(made) == ["file", "hf", "https", "modelscope", "pypi"]


def test_what_is_no_network_is_refused():
    with pytest.raises(InvalidInput, match="is not a network"):
        sources(load({"source_networks": ("here",)}, HOME), {})


def test_hubs_are_asked_where_the_settings_say():
    made = sources(load({"hf_endpoint": "https://mirror.test/"}, HOME), {})
    hub, scope = made["hf"](), made["modelscope"]()
    assert isinstance(hub, HubSource)
    assert isinstance(scope, HubSource)
    assert hub.url("hf:a/b@v1/x#f.gguf") == "https://mirror.test/a/b/resolve/v1%2Fx/f.gguf"
    assert scope.url("modelscope:a/b#d/f.gguf") == (
        "https://modelscope.cn/models/a/b/resolve/master/d/f.gguf"
    )
