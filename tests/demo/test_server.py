"""Tests of the demo's server: from the upload to the deletion."""

import io
import json
import zipfile

import numpy as np
import pytest
import soundfile


@pytest.fixture
def done(demo, duet):
    identifier = demo.upload(duet)
    answer = demo.wait(identifier)
    assert answer["state"] == "done", answer
    return identifier


def test_a_video_is_separated_and_found_again(demo, duet, done):
    status, answer = demo.json("GET", f"/api/results/{done}")
    assert status == 200
    assert answer["title"] == "duet.mp4" and answer["seconds"] == pytest.approx(4.0, abs=0.1)
    assert answer["facts"]["picture"] == [64, 48]
    assert answer["facts"]["heat"] == [2, len(answer["facts"]["windows"]), 6, 8]
    assert len(answer["facts"]["peaks"]) == 3
    for path in ("/", f"/results/{done}"):
        status, _, page = demo.ask("GET", path)
        assert status == 200 and b"duet.mp4" in page
    assert len(demo.ask("GET", f"/api/results/{done}/heat")[2]) == np.prod(answer["facts"]["heat"])


def test_a_result_survives_a_restart(start, duet):
    first = start()
    done = first.upload(duet)
    first.wait(done, "done")
    first.json("PUT", f"/api/results/{done}/names", {"1": "lute"})
    first.stop()
    second = start()
    assert second.json("GET", f"/api/results/{done}")[1]["names"] == {"1": "lute"}
    assert second.ask("GET", f"/api/results/{done}/place?x=0.5&y=0.5")[0] == 200


def test_sounds_are_those_of_the_files_and_can_be_read_in_parts(demo, done):
    path = f"/api/results/{done}/sounds/1.wav"
    status, headers, whole = demo.ask("GET", path)
    assert status == 200 and headers["Content-Type"] == "audio/wav"
    assert whole == (demo.folder / done / "files" / "sound1.wav").read_bytes()
    sound, rate_hz = soundfile.read(io.BytesIO(whole))
    assert rate_hz == 44100 and np.sqrt(np.mean(sound[:, 0] ** 2)) == pytest.approx(0.141, abs=0.01)
    status, headers, part = demo.ask("GET", path, headers={"Range": "bytes=100-199"})
    assert (status, part) == (206, whole[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    assert demo.ask("GET", path, headers={"Range": f"bytes={len(whole)}-"})[0] == 416
    assert demo.ask("GET", f"/api/results/{done}/picture.mp4", headers={"Range": "bytes=0-9"})[0] == 206


def test_a_place_has_its_own_sound_and_share(demo, done):
    def sound(x):
        status, headers, content = demo.ask("GET", f"/api/results/{done}/place?x={x}&y=0.5")
        assert status == 200 and headers["X-Channels"] == "2"
        return np.frombuffer(content, "<f4").reshape(2, -1)

    left, right = sound(0), sound(1)
    files = demo.folder / done / "files"
    np.testing.assert_allclose(left.T, soundfile.read(files / "sound1.wav")[0], atol=1e-6)
    np.testing.assert_allclose(right.T, soundfile.read(files / "sound2.wav")[0], atol=1e-6)
    shares = demo.json("GET", f"/api/results/{done}/share?x=0.25&y=0.5")[1]["share"]
    assert shares and set(shares) == {0.25}


def test_a_place_outside_the_picture_is_refused_in_a_sentence(demo, done):
    for query in ("x=2&y=0", "x=-1&y=0", "x=nan&y=0", "x=inf&y=0", "x=0", "", "x=a&y=b", "x=0&y=1e999"):
        for what in ("place", "share"):
            status, answer = demo.json("GET", f"/api/results/{done}/{what}?{query}")
            assert status == 422 and "outside the picture" in answer["error"]


def test_the_steps_of_the_recursion_are_levels_of_grey(demo, done):
    status, headers, content = demo.ask("GET", f"/api/results/{done}/steps?window=0")
    assert status == 200 and headers["X-Sounds"] == "1,2"
    shape = tuple(map(int, headers["X-Shape"].split(",")))
    assert shape == (5, 128, 50)
    levels = np.frombuffer(content, np.uint8).reshape(shape)
    # Row -1 is the lowest frequency, where everything lies that the first step takes.
    assert levels[1, -1].min() == 255 and levels[1, 0].max() == 0 and levels[2, -1].max() == 0
    for window in ("99", "-1", "x", "", "1e3", "٣"):
        from urllib.parse import quote

        assert demo.json("GET", f"/api/results/{done}/steps?window={quote(window)}")[0] == 422


def test_names_are_kept_and_name_the_downloads(demo, done):
    status, answer = demo.json("PUT", f"/api/results/{done}/names", {"1": " my\nviolin/../<b> "})
    assert status == 200 and answer["names"] == {"1": "my violin/../<b>"}
    page = demo.ask("GET", f"/results/{done}")[2].decode()
    assert "my violin/../&lt;b&gt;" in page and "<b>my" not in page
    headers = demo.ask("GET", f"/api/results/{done}/sounds/1.wav?download")[1]
    assert headers["Content-Disposition"].startswith('attachment; filename="duet sound1 my violin .. b.wav"')
    assert demo.json("PUT", f"/api/results/{done}/names", {"9": "x"})[0] == 422
    assert demo.json("PUT", f"/api/results/{done}/names", {"1": 5})[0] == 422
    assert demo.ask("PUT", f"/api/results/{done}/names", b"[1]")[0] == 422
    assert demo.ask("PUT", f"/api/results/{done}/names", b"{" * 50_000)[0] == 422
    assert demo.ask("PUT", f"/api/results/{done}/names", b" " * 70_000)[0] == 413


def test_several_sounds_come_as_a_zip(demo, done):
    status, headers, content = demo.ask("GET", f"/api/results/{done}/sounds.zip")
    assert status == 200 and "duet sounds.zip" in headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == ["duet sound1.wav", "duet sound2.wav", "duet residual.wav", "separation.json"]
        assert archive.read(names[0]) == (demo.folder / done / "files" / "sound1.wav").read_bytes()
    chosen = demo.ask("GET", f"/api/results/{done}/sounds.zip?rows=2,2")[2]
    assert zipfile.ZipFile(io.BytesIO(chosen)).namelist() == ["duet sound2.wav", "separation.json"]
    assert demo.ask("GET", f"/api/results/{done}/sounds.zip?rows=..")[0] == 404


def test_another_number_of_sounds_gives_another_result_without_another_upload(demo, done):
    status, answer = demo.json("POST", f"/api/results/{done}/again", {"sounds": 2})
    assert status == 201
    again = demo.wait(answer["id"], "done")
    assert again["sounds"] == 2 and demo.library.asked == [None, 2]
    assert (demo.folder / done / "video").stat().st_ino == (demo.folder / answer["id"] / "video").stat().st_ino
    assert b"--sounds=2" in demo.ask("GET", f"/results/{answer['id']}")[2]
    for wrong in (0, 9, -1, 1.5, "x", True, [1], "٣"):
        assert demo.json("POST", f"/api/results/{done}/again", {"sounds": wrong})[0] == 422


def test_a_deleted_result_leaves_no_file(demo, done):
    assert demo.ask("DELETE", f"/api/results/{done}")[0] == 204
    assert not (demo.folder / done).exists()
    assert demo.ask("GET", f"/results/{done}")[0] == 404
    assert demo.ask("DELETE", f"/api/results/{done}")[0] == 404
    assert demo.json("GET", f"/api/results/{done}/place?x=0&y=0")[0] == 404


def events(demo, identifier):
    """Returns the server-sent events of a result until their end."""
    status, headers, content = demo.ask("GET", f"/api/results/{identifier}/events")
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in content.decode().splitlines() if line.startswith("data: ")]


def test_progress_is_streamed_with_the_remaining_time(demo, duet):
    demo.library.pace_s = 0.06
    seen = events(demo, demo.upload(duet))
    assert seen[-1]["state"] == "done"
    fractions = [event["fraction"] for event in seen if event["fraction"] is not None]
    assert len(fractions) > 3 and fractions == sorted(fractions)
    assert any(event["remaining_s"] is not None for event in seen)
    assert any(event["phase"] == "Separating the sounds" for event in seen)


def test_jobs_wait_in_a_queue_and_can_be_cancelled(demo, duet):
    demo.library.pace_s = 0.05
    first, second, third = (demo.upload(duet) for _ in range(3))
    demo.wait(first, "running")
    assert demo.wait(second, "waiting")["ahead"] == 1
    assert demo.wait(third, "waiting")["ahead"] == 2
    assert demo.ask("DELETE", f"/api/results/{second}")[0] == 204
    assert demo.ask("DELETE", f"/api/results/{first}")[0] == 204
    assert events(demo, first)[-1] == {"state": "deleted"} if (demo.folder / first).exists() else True
    demo.wait(first, "deleted")
    demo.library.pace_s = 0.0
    assert demo.wait(third)["state"] == "done"
    folders = [path.name for path in demo.folder.iterdir() if len(path.name) == 24]
    assert folders == [third]


def test_a_video_that_fails_says_why_and_the_server_lives(demo, duet):
    from data_pipeline.command import InputError

    demo.library.error = InputError("--video=X is broken")
    broken = demo.wait(demo.upload(duet))
    assert (broken["state"], broken["error"]) == ("failed", "X is broken.")
    assert b"X is broken." in demo.ask("GET", f"/results/{broken['id']}")[2]
    demo.library.error = RuntimeError("a bug")
    assert "unexpected error" in demo.wait(demo.upload(duet))["error"]
    demo.library.error = OSError(28, "No space left on device", "f")
    assert "No space left" in demo.wait(demo.upload(duet))["error"]
    demo.library.error = None
    assert demo.wait(demo.upload(duet))["state"] == "done"


def test_a_server_that_stops_repeats_the_running_job_when_it_starts_again(start, duet):
    first = start()
    first.library.pace_s = 0.2
    identifier = first.upload(duet)
    first.wait(identifier, "running")
    first.stop()
    assert sorted(path.name for path in (first.folder / identifier).iterdir()) == ["record.json", "video"]
    assert start().wait(identifier)["state"] == "done"


def test_a_job_whose_server_was_killed_is_reported(start, duet):
    first = start()
    identifier = first.upload(duet)
    first.wait(identifier, "done")
    first.stop()
    record = first.folder / identifier / "record.json"
    record.write_text(record.read_text().replace('"done"', '"running"'))
    assert "separate the video again" in start().json("GET", f"/api/results/{identifier}")[1]["error"]


def test_samples_are_offered_and_rendered_once(demo, duet, monkeypatch):
    from mpnet_jax.demo import samples

    def render(out, names, *, seconds, seed):
        (out / "scene.mp4").write_bytes(duet.read_bytes())
        rendered.append(names)

    rendered = []
    monkeypatch.setattr("data_pipeline.render_scene.render", render)
    monkeypatch.setattr(samples, "missing", lambda: None)
    for _ in range(2):
        status, answer = demo.json("POST", "/api/samples/duet")
        assert status == 201 and demo.wait(answer["id"])["state"] == "done"
    assert rendered == [["violin", "trumpet"]]
    assert demo.json("POST", "/api/samples/..%2f")[0] == 404
    monkeypatch.setattr(samples, "missing", lambda: "Install it.")
    assert demo.json("POST", "/api/samples/duet") == (422, {"error": "Install it."})
    assert b"Install it." in demo.ask("GET", "/")[2]
