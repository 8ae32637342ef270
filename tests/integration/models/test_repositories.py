"""Looking at one repository: its files, its card, and whether it is given to everybody."""

import hashlib
import stat
from pathlib import Path

import pytest

from inglenook.base.errors import NetworkError, UsageError
from inglenook.base.paths import Profile
from inglenook.models.hub_card import MAX_BYTES, make_card_text
from inglenook.models.hub_files import count_bits
from inglenook.models.hub_token import HubToken
from support.crowded_hub import fill_hub
from support.loopback_hub import Answer, LoopbackHub
from support.models import Rig, make_model, make_parts

REPO = "maker/Closed-GGUF"
FILE = "closed-Q8_0.gguf"
DATA = make_model(200_000)
TOKEN = "hf_canary_0123456789"


def test_all_of_a_repository(loopback: LoopbackHub, rig: Rig) -> None:
    repo = next(repo for repo in fill_hub(loopback) if "gemma-3-4B" in repo.id)
    details = rig.hub.describe(repo.id)
    assert details.summary.n_params == 4_000_000_000
    assert details.summary.marks == ("vision",)
    assert details.address == f"{loopback.endpoint}/{repo.id}"
    assert {file.quantisation for file in details.files} >= {"Q2_K", "Q4_K_M", "IQ4_XS", "Q8_0"}
    assert not any("mmproj" in f.path or "imatrix" in f.path for f in details.files)
    assert [part.path for part in details.projectors] == ["mmproj-gemma-3-4B-Instruct-F16.gguf"]
    assert details.recommended is not None
    assert details.recommended.quantisation == "Q4_K_M"
    assert details.card.startswith("# gemma-3-4B-Instruct")
    assert "<img" not in details.card
    assert "license:" not in details.card
    assert "<start>{system}<end>" in details.card, "code is as it was"
    assert details.gate == "open"
    assert rig.hub.describe(repo.id) == details


def test_a_split_model_is_one_file(loopback: LoopbackHub, rig: Rig) -> None:
    files = make_parts(3)
    loopback.add_repo("maker/Big-GGUF", files)
    (file,) = rig.hub.describe("maker/Big-GGUF").files
    assert file.size_bytes == sum(map(len, files.values()))
    assert len(file.parts) == 3


@pytest.mark.parametrize(
    ("quantisation", "bits"),
    [("Q4_K_M", 4), ("IQ2_XXS", 2), ("BF16", 16), ("F32", 32), ("MXFP4", 4), ("TQ1_0", 1), ("", 0)],
)
def test_bits(quantisation: str, bits: int) -> None:
    assert count_bits(quantisation) == bits


# --- cards ---


def test_F02_what_only_a_browser_would_do_is_gone() -> None:
    text = make_card_text(
        b"---\nlicense: mit\n---\n# Hi <script>fetch('http://x')</script>\n"
        b"<img src=\"file:///etc/passwd\" onerror='x()'>text<br>more\n<!-- hidden\n -->\n"
        b"<style>p{}</style><p align=center><b>bold</b></p>\n2 < 3 and a<b\n"
        b"```html\n<script>shown</script>\n```\n<table><tr><td>1</td><td>2</td></tr></table>"
    )
    assert "fetch" not in text
    assert "passwd" not in text
    assert "hidden" not in text
    assert "p{}" not in text
    assert "**bold**" in text
    assert "2 < 3 and a<b" in text
    assert "<script>shown</script>" in text
    assert "1 · 2" in text


@pytest.mark.parametrize(
    "data",
    [
        b"<" * 400_000,
        b"<a " * 130_000,
        b"<!--" * 100_000,
        b"<script" * 50_000,
        b"```\n" * 100_000,
        b"---\n" * 100_000,
        b"&lt;" * 100_000,
        b"<p" + b" " * 399_000,
        b"\xff\xfe\x00" * 100_000,
        "\u202e\u200f\0\u200b".encode() * 30_000,
    ],
)
def test_F04_hostile_cards_are_read_in_one_pass(data: bytes) -> None:
    assert isinstance(make_card_text(data), str)


def test_a_card_of_five_megabytes_is_cut(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo("maker/Talks-GGUF", {FILE: DATA}, card=b"word " * 1_000_000)
    details = rig.hub.describe("maker/Talks-GGUF")
    assert details.is_card_cut
    assert 100_000 < len(details.card) <= MAX_BYTES
    assert details.files


def test_a_card_that_cannot_be_had_is_no_error(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo("maker/Silent-GGUF", {FILE: DATA}, card="# Hello")
    for answer in (Answer(500), Answer(302, {"Location": "http://example.org/x"})):
        loopback.faults.resolve.append(answer)
        details = rig.hub.describe("maker/Silent-GGUF")
        assert (details.card, len(details.files)) == ("", 1)


# --- closed repositories ---


def close(loopback: LoopbackHub, **facts: object) -> None:
    loopback.add_repo(REPO, {FILE: DATA}, card="# Closed", **facts)


def test_D07_a_gated_repository_says_what_to_do(loopback: LoopbackHub, rig: Rig) -> None:
    close(loopback, gated="manual")
    details = rig.hub.describe(REPO)
    assert details.gate == "no_token"
    assert [file.path for file in details.files] == [FILE], "one may see what there is"
    with pytest.raises(NetworkError) as caught:
        rig.get(REPO)
    assert caught.value.code == "gated"
    assert "paste an access token in Settings" in caught.value.hint


def test_a_token_opens_what_its_owner_was_given(loopback: LoopbackHub, rig: Rig) -> None:
    close(loopback, gated="auto")
    loopback.tokens[TOKEN] = {REPO}
    rig.token = TOKEN
    details = rig.hub.describe(REPO)
    assert (details.gate, details.card) == ("open", "# Closed")
    assert all(file.needs_token for file in details.files)
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    for _, path, headers in loopback.list_requests("store"):
        assert "authorization" not in headers, path


def test_a_token_without_access_says_so(loopback: LoopbackHub, rig: Rig) -> None:
    close(loopback, gated="manual")
    loopback.tokens[TOKEN] = set()
    rig.token = TOKEN
    assert rig.hub.describe(REPO).gate == "no_access"
    with pytest.raises(NetworkError, match="not given to your account") as caught:
        rig.get(REPO)
    assert caught.value.code == "gated"


def test_a_token_that_the_hub_does_not_know(loopback: LoopbackHub, rig: Rig) -> None:
    close(loopback, gated="manual")
    rig.token = TOKEN
    assert rig.hub.describe(REPO).gate == "bad_token"
    with pytest.raises(NetworkError) as caught:
        rig.get(REPO)
    assert caught.value.code == "bad_token"
    with pytest.raises(NetworkError) as caught:
        rig.hub.check_token(TOKEN)
    assert caught.value.code == "bad_token"
    loopback.tokens[TOKEN] = set()
    assert rig.hub.check_token(TOKEN) == "somebody"


def test_a_private_repository_is_there_for_its_owner_alone(loopback: LoopbackHub, rig: Rig) -> None:
    close(loopback, private=True)
    with pytest.raises(NetworkError) as caught:
        rig.hub.describe(REPO)
    assert caught.value.code == "unknown_repo"
    rig.token = "hf_nobody_knows_it"
    with pytest.raises(NetworkError) as caught:
        rig.hub.describe(REPO)
    assert caught.value.code == "unknown_repo", "a mistyped name is no fault of the token"
    loopback.tokens[TOKEN] = {REPO}
    rig.token = TOKEN
    assert rig.hub.describe(REPO).gate == "open"
    assert Path(rig.get(REPO).path).read_bytes() == DATA


def test_D06_the_token_goes_to_the_hub_and_only_for_what_is_closed(
    loopback: LoopbackHub, rig: Rig
) -> None:
    """Redirects of every question and of the file lead to another origin, which is sent nothing."""
    loopback.tokens[TOKEN] = {REPO}
    rig.token = TOKEN
    loopback.add_repo("maker/Open-GGUF", {FILE: DATA}, card="# Open")
    rig.hub.describe("maker/Open-GGUF")
    rig.get("maker/Open-GGUF")
    assert all("authorization" not in headers for _, _, headers in loopback.list_requests())
    close(loopback, gated="manual")
    there = {"Location": f"{loopback.store}/elsewhere"}
    for n_before in range(2):  # the look-up is sent elsewhere, then the check of access
        loopback.faults.api.extend([Answer(0)] * n_before + [Answer(307, there)])
        with pytest.raises(NetworkError):
            rig.hub.describe(REPO)
    loopback.faults.resolve.append(Answer(307, there))
    assert rig.hub.describe(REPO).card == ""
    rig.get(REPO)
    assert any("authorization" in headers for _, _, headers in loopback.list_requests("api"))
    for _, path, headers in loopback.list_requests("store"):
        assert "authorization" not in headers, path
        assert TOKEN not in path + repr(headers)
    assert TOKEN not in repr(rig.network.ledger())


# --- where a token is kept ---


@pytest.fixture
def token(profile: Profile) -> HubToken:
    return HubToken(profile.data / "hub-token.json", "huggingface.co")


def test_D11_without_a_keyring_a_file_for_its_owner_alone(
    token: HubToken, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    import os

    os.umask(0)
    assert token.place == ""
    assert token.load() == ""
    assert token.save(f"  {TOKEN}\n") == "file"
    path = profile.data / "hub-token.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = HubToken(path, "huggingface.co")
    assert (again.place, again.load()) == ("file", TOKEN)
    other = HubToken(path, "mirror.example.org")
    assert (other.place, other.load()) == ("", ""), "another hub is never sent it"
    again.forget()
    assert not path.exists()
    assert HubToken(path, "huggingface.co").load() == ""
    assert list(profile.data.glob("hub-token*")) == []


class MemoryKeyring:
    """A keyring as a desktop has one."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def set_password(self, service: str, account: str, secret: str) -> None:
        if self.is_locked:
            raise RuntimeError("locked")
        self.secrets[service, account] = secret

    def get_password(self, service: str, account: str) -> str | None:
        if self.is_locked:
            raise RuntimeError("locked")
        return self.secrets.get((service, account))

    def delete_password(self, service: str, account: str) -> None:
        if self.is_locked:
            raise RuntimeError("locked")
        del self.secrets[service, account]


def test_a_keyring_keeps_it_where_there_is_one(
    token: HubToken, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = MemoryKeyring()
    monkeypatch.setattr("inglenook.models.hub_token._find_keyring", lambda: ring)
    assert token.save(TOKEN) == "keyring"
    path = profile.data / "hub-token.json"
    assert TOKEN not in path.read_text()
    again = HubToken(path, "huggingface.co")
    assert (again.place, again.load()) == ("keyring", TOKEN)
    ring.is_locked = True
    assert HubToken(path, "huggingface.co").load() == ""
    assert token.save(TOKEN) == "file", "a locked keyring is no reason to lose it"
    ring.is_locked = False
    token.save(TOKEN)
    token.forget()
    assert ring.secrets == {}


@pytest.mark.parametrize(
    "text",
    ["", "   ", "short", "two words here", "hf_\u00fcn\u00efcode", "x" * 999, "hf_line\nbreak_in"],
)
def test_what_is_no_token_is_refused(token: HubToken, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        token.save(text)
    assert caught.value.code == "no_token"
    assert token.place == ""


def test_a_damaged_file_is_no_token(token: HubToken, profile: Profile) -> None:
    path = profile.data / "hub-token.json"
    for data in (b"", b"{", b"[]", b'{"host":7}', hashlib.sha256(b"x").digest()):
        path.write_bytes(data)
        assert (token.place, token.load()) == ("", "")
