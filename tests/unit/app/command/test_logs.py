from littoral.app.command.logs import added, tail


def test_the_end_of_a_log_is_shown_without_what_drives_terminals(run, tmp_path):
    folder = tmp_path / "d" / "logs"
    folder.mkdir(parents=True)
    (folder / "gateway.log").write_text("one\ntwo\x1b[2J\nthree\n")
    said = run("logs", "gateway", "-n", "2", "--data-dir", str(tmp_path / "d"))
    assert said.out == "two?[2J\nthree\n"
    assert (
        run("logs", "gate", "--json", "--data-dir", str(tmp_path / "d")).json["lines"][0] == "one"
    )
    said = run("logs", "nobody", "--data-dir", str(tmp_path / "d"))
    assert said.status == 2
    assert "known: gateway" in said.err


def test_no_log_yet_is_said(run, tmp_path):
    assert "no log yet" in run("logs", "--data-dir", str(tmp_path)).err


def test_an_empty_log_says_so_and_names_those_that_are_not(run, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, text in {"supervisor": "", "control": "", "node": "x\n"}.items():
        (folder / f"{name}.log").write_text(text)
    said = run("logs", "--data-dir", str(tmp_path))
    assert said.out == ""
    assert "supervisor has logged nothing yet. Other logs: node\n" in said.err


def test_the_tail_of_nothing_is_nothing(tmp_path):
    file = tmp_path / "x.log"
    file.write_text("")
    assert tail(file, 5) == []
    file.write_text("a\nb")
    assert tail(file, 0) == []


def test_lines_added_later_are_followed_through_a_rotation(tmp_path):
    file = tmp_path / "x.log"
    file.write_text("before\n")
    waited = []

    def write(seconds):
        waited.append(seconds)
        if len(waited) == 1:
            with file.open("a") as stream:
                stream.write("half")
        elif len(waited) == 2:
            with file.open("a") as stream:
                stream.write(" and half\n")
        else:
            file.write_text("new\n")

    lines = added(file, wait=write)
    assert next(lines) == "half and half"
    assert next(lines) == "new"
