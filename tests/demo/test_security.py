"""Tests of what the demo refuses: foreign pages, hostile names, large and broken files, and nonsense."""

import http.client
import json
import random
import re
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import pytest

from data_pipeline.command import InputError
from mpnet_jax.demo.guard import host_names
from mpnet_jax.demo.server import listen
from mpnet_jax.demo.store import Store, clean_name, clean_title
from tests.support.repository import ROOT

HOSTILE = [
    "../../etc/passwd",
    "..\\..\\windows",
    "/etc/passwd",
    'a"b.mp4',
    "it's.mp4",
    "a\nb\r\nSet-Cookie: x.mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "{{ 7 * 7 }}.mp4",
    "{% for x in y %}.mp4",
    "-rf.mp4",
    "$(touch x).mp4",
    "`id`.mp4",
    "\0.mp4",
    "",
    ".",
    "..",
    "...",
    " ",
    "CON",
    "\u202egpj.mp4",
    "\ud800.mp4",
    "é\u0301.mp4",
    "漢字.mp4",
    "🎻.mp4",
    "a" * 5000,
    "%2e%2e%2f",
    "record.json",
    "video",
    "&amp;&lt;.mp4",
    "javascript:alert(1)",
    "a;b|c>d.mp4",
    "\x7f\x1b[31m.mp4",
]


def folders(demo):
    return sorted(path.name for path in demo.folder.iterdir() if re.fullmatch("[0-9a-f]{24}", path.name))


def left_over(demo):
    """Returns what an unfinished upload left."""
    return list((demo.folder / "incoming").iterdir())


def settled(check, seconds=10.0):
    """Returns whether something becomes true in a while."""
    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        time.sleep(0.02)
    return check()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:{port}", "localhost@evil", "", None, "[::2]", "a:b:1"]
)
def test_other_hosts_are_refused(demo, host):
    status, _, content = demo.ask("GET", "/", headers={"Host": host and host.format(port=demo.port), "Origin": None})
    assert status in (400, 403) and b"<title>" not in content


def test_names_of_the_loopback_are_answered_on_any_port(demo):
    for host in (f"localhost:{demo.port}", f"127.0.0.1:{demo.port}", "localhost:9999", "[::1]:80", "LOCALHOST"):
        assert demo.ask("GET", "/", headers={"Host": host, "Origin": None})[0] == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1:{port}", "http://127.0.0.1", None],
)
def test_requests_that_change_something_come_from_the_page_alone(demo, duet, origin):
    headers = {"Origin": origin and origin.format(port=demo.port)}
    identifier = "0" * 24
    for method, path in [
        ("PUT", "/api/videos?name=a.mp4"),
        ("POST", "/api/samples/duet"),
        ("DELETE", f"/api/results/{identifier}"),
        ("POST", f"/api/results/{identifier}/again"),
        ("PUT", f"/api/results/{identifier}/names"),
    ]:
        status, _, content = demo.ask(method, path, b"{}", headers)
        assert status == 403 and b"page" in content.lower()
    assert folders(demo) == []


def test_foreign_pages_cannot_read_either(demo):
    refused = [
        {"Origin": "http://evil.example"},
        {"Origin": None, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ]
    refused.append({"Origin": None, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"})
    for headers in refused:
        assert demo.ask("GET", "/api/results", headers=headers)[0] == 403
    link = {"Origin": None, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert demo.ask("GET", "/", headers=link)[0] == 200
    assert "Access-Control-Allow-Origin" not in demo.ask("GET", "/api/results")[1]


def test_every_answer_restricts_the_page(demo):
    nonces = set()
    for path in ("/", "/nothing", "/api/nothing", "/static/demo.css", "/static/report.css", "/api/results"):
        _, headers, content = demo.ask("GET", path)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and "frame-ancestors 'none'" in policy
        nonces.add(re.search("nonce-([^']+)", policy)[1])
        # Neither scripts, nor styles, nor handlers stand in the page itself.
        assert not re.search(rb"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=", content) or path.startswith(
            "/static"
        )
        assert b"http://" not in content or path.startswith("/static")
    assert len(nonces) == 6


def test_only_files_of_the_page_are_served(demo):
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd"):
        assert demo.ask("GET", path)[0] == 404
    for identifier in ("..", "%2e%2e", "incoming", "samples", "x" * 5000, "%00", "..%2f..", "a" * 24):
        for rest in ("", "/picture.mp4", "/heat", "/sounds/1.wav", "/sounds.zip", "/place?x=0&y=0", "/events"):
            assert demo.ask("GET", f"/api/results/{identifier}{rest}")[0] == 404


def test_no_name_of_a_file_is_trusted(demo, duet):
    names = HOSTILE + [bytes(range(7 * seed, 7 * seed + 12)).decode("latin-1") for seed in range(18)]
    assert len(names) == 50
    outside = sorted(path.name for path in demo.folder.parent.iterdir())
    for number, name in enumerate(names):
        status, answer = demo.json(
            "PUT", f"/api/videos?name={quote(name, safe='', errors='surrogatepass')}", duet.read_bytes()
        )
        assert status == 201, answer
        identifier = answer["id"]
        title = demo.json("GET", f"/api/results/{identifier}")[1]["title"]
        assert title and title.isprintable() and "/" not in title and len(title) <= 120
        finished = number % 10 == 0
        if finished:
            demo.wait(identifier, "done")
        page = demo.ask("GET", f"/results/{identifier}")[2].decode()
        listed = demo.ask("GET", "/")[2].decode()
        assert "<img src=x" not in page + listed and ">49.mp4" not in page + listed
        for path in ("sounds/1.wav?download", "sounds.zip") if finished else ():
            status, headers, _ = demo.ask("GET", f"/api/results/{identifier}/{path}")
            assert status == 200 and headers["Set-Cookie"] is None
            assert re.fullmatch(
                r"attachment; filename=\"[\w .-]+\"; filename\*=UTF-8''[\w%.~-]+", headers["Content-Disposition"], re.A
            )
        assert sorted(path.name for path in demo.folder.parent.iterdir() if "scratch" not in path.name) == [
            name for name in outside if "scratch" not in name
        ]
        demo.ask("DELETE", f"/api/results/{identifier}")
    assert settled(lambda: folders(demo) == []) and left_over(demo) == []


def test_titles_and_names_are_one_printable_line():
    assert clean_title("C:\\videos\\a b.mp4") == "a b.mp4"
    assert clean_title("../../x") == "x" and clean_title("..") == "video" and clean_title("a/") == "video"
    assert clean_name("  a\n\tb\u202e ") == "a b" and len(clean_name("x" * 999)) == 60


def test_what_is_no_video_with_sound_is_refused_in_one_sentence(demo, tmp_path, write_video):
    silent = write_video(tmp_path / "silent.mp4", seconds=1.0, with_sound=False)
    blind = write_video(tmp_path / "blind.mp4", seconds=1.0, with_pictures=False)
    for content, word in [
        (b"", "empty"),
        (b"\0" * 100_000, "no video"),
        (b"GIF89a", "no video"),
        (b"#!/bin/sh\n", "no video"),
        (silent.read_bytes(), "no sound"),
        (blind.read_bytes(), "no pictures"),
        (silent.read_bytes()[:200], "no video"),
    ]:
        status, answer = demo.json("PUT", "/api/videos?name=a.mp4", content)
        assert status == 422 and word in answer["error"], answer
    assert folders(demo) == [] and left_over(demo) == []


def test_a_long_video_is_refused(start, duet):
    demo = start(seconds=2.0)
    status, answer = demo.json("PUT", "/api/videos?name=a.mp4", duet.read_bytes())
    assert status == 422 and "minutes" in answer["error"]
    assert folders(demo) == [] and left_over(demo) == []


def test_a_gigabyte_of_zeros_is_refused_before_it_is_sent(start):
    demo = start(upload_bytes=1_000_000)
    status, _, content = demo.ask("PUT", "/api/videos?name=zeros.mp4", headers={"Content-Length": str(1 << 30)})
    assert status == 413 and "larger than 1 MB" in json.loads(content)["error"]
    assert left_over(demo) == []


def test_a_gigabyte_of_zeros_without_a_length_is_dropped_at_the_limit(start):
    demo = start(upload_bytes=1_000_000)
    with socket.create_connection(("127.0.0.1", demo.port), timeout=20) as client:
        head = f"PUT /api/videos?name=zeros.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{demo.port}\r\nOrigin: {demo.address}\r\n"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"\0" * 65536 + b"\r\n"
        sent = 0
        try:
            for _ in range(1 << 14):
                client.sendall(chunk)
                sent += 65536
        except OSError:
            pass
    # The sockets' buffers take a few megabytes after the limit.
    assert sent < 64_000_000
    assert settled(lambda: left_over(demo) == [])
    assert demo.ask("GET", "/")[0] == 200 and folders(demo) == []


def test_a_client_that_goes_away_leaves_nothing(demo, duet):
    with socket.create_connection(("127.0.0.1", demo.port), timeout=20) as client:
        head = f"PUT /api/videos?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{demo.port}\r\nOrigin: {demo.address}\r\n"
        client.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + duet.read_bytes()[:5000])
        assert settled(lambda: len(left_over(demo)) == 1)
    assert settled(lambda: left_over(demo) == [])
    assert folders(demo) == [] and demo.ask("GET", "/")[0] == 200


def test_an_upload_that_stalls_is_dropped(start):
    demo = start(stalled_s=0.3)
    with socket.create_connection(("127.0.0.1", demo.port), timeout=20) as client:
        head = f"PUT /api/videos?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{demo.port}\r\nOrigin: {demo.address}\r\n"
        client.sendall(f"{head}Content-Length: 1000\r\n\r\nabc".encode())
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 408
    assert left_over(demo) == []


def test_a_full_disk_is_said_and_leaves_nothing(demo, duet, start, monkeypatch):
    assert start("small", free_bytes=1 << 60).json("PUT", "/api/videos?name=a.mp4", b"abc")[0] == 507

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mpnet_jax.demo.uploads.Uploads._look_into", full)
    status, answer = demo.json("PUT", "/api/videos?name=a.mp4", duet.read_bytes())
    assert status == 507 and "room on the disk" in answer["error"]
    assert folders(demo) == [] and left_over(demo) == []


def test_the_number_of_results_and_of_uploads_is_limited(start, duet):
    demo = start(results=1, uploads=1)
    identifier = demo.upload(duet)
    demo.wait(identifier, "done")
    status, answer = demo.json("PUT", "/api/videos?name=a.mp4", duet.read_bytes())
    assert status == 409 and "delete one" in answer["error"]
    assert demo.json("POST", f"/api/results/{identifier}/again", {})[0] == 409
    assert demo.json("POST", "/api/samples/duet")[0] in (409, 422)
    demo.ask("DELETE", f"/api/results/{identifier}")
    with socket.create_connection(("127.0.0.1", demo.port), timeout=20) as client:
        head = f"PUT /api/videos?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{demo.port}\r\nOrigin: {demo.address}\r\n"
        client.sendall(f"{head}Content-Length: 1000\r\n\r\nabc".encode())
        assert settled(lambda: len(left_over(demo)) == 1)
        assert demo.json("PUT", "/api/videos?name=a.mp4", duet.read_bytes())[0] == 429
    assert settled(lambda: left_over(demo) == [])
    assert demo.json("PUT", "/api/videos?name=a.mp4", duet.read_bytes())[0] == 201


def test_two_tabs_see_the_same(demo, duet):
    demo.library.pace_s = 0.05
    identifier = demo.upload(duet)
    first, second = (http.client.HTTPConnection("127.0.0.1", demo.port, timeout=30) for _ in range(2))
    for tab in (first, second):
        tab.request("GET", f"/api/results/{identifier}/events", headers={"Origin": demo.address})
    answers = [tab.getresponse().read().decode().strip().splitlines()[-1] for tab in (first, second)]
    first.close()
    second.close()
    assert answers[0] == answers[1] and '"done"' in answers[0]
    assert demo.ask("DELETE", f"/api/results/{identifier}")[0] == 204
    for path in (f"/results/{identifier}", f"/api/results/{identifier}/sounds/1.wav"):
        assert demo.ask("GET", path)[0] == 404


def test_nonsense_is_answered_without_a_traceback(demo, duet, capfd):
    """300 requests with random methods, paths, queries, headers and bodies."""
    identifier = demo.upload(duet)
    demo.wait(identifier, "done")
    rng = random.Random(0)  # noqa: S311
    places = [
        "",
        "/",
        "api",
        "results",
        "videos",
        identifier,
        "..",
        "%00",
        "sounds",
        "1.wav",
        "sounds.zip",
        "names",
        "again",
    ]
    places += [
        "steps",
        "place",
        "share",
        "heat",
        "events",
        "picture.mp4",
        "static",
        "demo.css",
        "%ff",
        "a" * 300,
        "samples",
    ]
    places += ["<script>", "%0d%0aSet-Cookie:%20x", "'\"", "\\", "~", "*", ";", "duet"]
    queries = [
        "",
        "?x=1&y=1",
        "?x=&y=",
        "?window=1",
        "?window=-9",
        "?rows=1,2",
        "?rows=../..",
        "?download",
        "?%ff=%fe",
        "?name=",
    ]
    bodies = [None, b"", b"{}", b"null", b'{"1": null}', b"\xff\xfe", b"[" * 1000, b'{"sounds": 1e400}', b"0" * 1000]
    # Nothing of it may delete or repeat the result.
    for _ in range(300):
        path = "/" + "/".join(
            rng.choice(places).replace("<", "%3c").replace(">", "%3e") for _ in range(rng.randrange(5))
        )
        method = rng.choice(["GET", "GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "BREW"])
        headers = {"Range": rng.choice(["bytes=0-", "bytes=9-1", "bytes=-5", "lines=1", "bytes=0-1,3-4," * 50])}
        headers["Cookie"], headers["Sec-Fetch-Site"] = (
            "\x01"[:0] + "a" * rng.randrange(200),
            rng.choice(["same-origin", "none"]),
        )
        status, found, _ = demo.ask(method, path + rng.choice(queries), rng.choice(bodies), headers)
        assert status < 500, (method, path, status)
        assert found["Set-Cookie"] is None
    demo.stop()
    assert "Traceback" not in "".join(capfd.readouterr())
    assert {path.name for path in demo.folder.iterdir()} <= {*folders(demo), "incoming", ".lock", "samples"}


def test_broken_requests_are_answered_or_dropped(demo):
    for raw in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", demo.port), timeout=10) as client:
            client.sendall(raw + b"\r\n")
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(20)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert demo.ask("GET", "/")[0] == 200


def test_the_server_listens_on_the_loopback_and_says_what_it_cannot(demo, tmp_path):
    with pytest.raises(InputError, match=rf"--port={demo.port} is taken by another program; name another port"):
        listen("127.0.0.1", demo.port)
    with pytest.raises(InputError, match="cannot be listened on"):
        listen("192.0.2.1", 0)
    with pytest.raises(InputError, match="is used by another demo"):
        Store(demo.folder, most=1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be used"):
        Store(tmp_path / "file", most=1)
    names, addresses = host_names("127.0.0.1")
    assert not addresses and "localhost" in names
    assert host_names("0.0.0.0")[1] and not host_names("::1")[1] and not host_names("localhost")[1]  # noqa: S104


def test_damaged_records_are_left_alone(start, duet):
    first = start()
    identifier = first.upload(duet)
    first.wait(identifier, "done")
    first.stop()
    for name, content in (
        ("a" * 24, "{"),
        ("b" * 24, '{"id": "../../x", "title": "", "created": 0}'),
        ("c" * 24, "[]"),
    ):
        (first.folder / name).mkdir()
        (first.folder / name / "record.json").write_text(content)
    second = start()
    assert [result["id"] for result in second.json("GET", "/api/results")[1]] == [identifier]


@pytest.mark.e2e
def test_the_command_serves_and_stops_at_ctrl_c(tmp_path):
    arguments = [sys.executable, "-m", "mpnet_jax", "demo", "--port=0", f"--folder={tmp_path / 'demo'}"]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        line = server.stdout.readline()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        taken = subprocess.run(
            [*arguments[:4], f"--port={port}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        assert taken.returncode == 2 and taken.stderr.count("\n") == 1 and "is taken" in taken.stderr
        server.send_signal(2)
        out, err = server.communicate(timeout=60)
    finally:
        server.kill()
        server.wait()
    assert (
        server.returncode == 0
        and "Traceback" not in err
        and out.endswith("stopped; the results remain in the folder\n")
    )
