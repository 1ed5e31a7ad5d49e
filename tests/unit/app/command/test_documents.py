import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.app.command import documents
from littoral.domain.errors import InvalidInput, TooLarge

GOOD = """
kind: Deployment
metadata: {name: a}
spec: {model: m}
---
---
kind: Model
metadata: {name: m}
spec: {versions: []}
"""


def test_a_file_may_hold_several_documents(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(GOOD)
    assert [each["kind"] for each in documents.read(str(file))] == ["Deployment", "Model"]


def test_a_folder_is_read_by_name_and_only_its_yaml_and_json(tmp_path):
    for name, text in {
        "b.yml": "kind: B\nmetadata: {name: b}",
        "a.json": '{"kind": "A", "metadata": {"name": "a"}}',
        "readme.txt": "no",
    }.items():
        (tmp_path / name).write_text(text)
    assert [each["kind"] for each in documents.read(str(tmp_path))] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: [", "not YAML"),
        ("just text", "must be a mapping"),
        ("kind: Model\nspec: {}", "metadata.name is missing"),
        ("metadata: {name: a}", "kind is missing"),
        ("kind: Model\nmetadata: {name: a}\nspek: {}", "unknown field 'spek'"),
        ("kind: Model\nmetadata: {name: &a x, b: *a}", "aliases"),
        ("kind: !!python/object:os.system x", "not YAML"),
        ("kind: Model\nkind: Project\nmetadata: {name: a}", "'kind' is there twice"),
        ("kind: Model\nmetadata: {name: a}\nspec: {n: %s}" % ("9" * 5000), "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, told):
    with pytest.raises(InvalidInput, match=r"f\.yaml") as caught:
        documents.parse(text, name="f.yaml")
    assert told in caught.value.message


def test_the_second_document_is_named_when_it_is_the_wrong_one():
    with pytest.raises(InvalidInput, match="document 2"):
        documents.parse("kind: A\nmetadata: {name: a}\n---\nkind: B", name="f")


def test_deep_nesting_is_refused_and_not_a_crash():
    with pytest.raises(InvalidInput, match="not YAML"):
        documents.parse("a: " + "[" * 5000, name="f")


def test_files_are_bounded_in_size_and_number(tmp_path):
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (documents.MOST_BYTES + 1))
    with pytest.raises(TooLarge, match="over 1048576 bytes"):
        documents.read(str(big))
    many = tmp_path / "many.yaml"
    many.write_text("---\nkind: A\nmetadata: {name: a}\n" * 501)
    with pytest.raises(TooLarge, match="at most 500"):
        documents.read(str(many))


@pytest.mark.parametrize(
    ("data", "told"), [(b"\xff\xfe", "not UTF-8"), (b"# nothing\n", "holds no resource")]
)
def test_files_that_hold_nothing_readable_are_refused(tmp_path, data, told):
    file = tmp_path / "f.yaml"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match=told):
        documents.read(str(file))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InvalidInput, match="there is no file"):
        documents.read(str(tmp_path / "none.yaml"))


TEXT = st.text("ab:#-'\"{ \n云é0", min_size=1, max_size=5)


@settings(max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "kind": TEXT,
                "metadata": st.fixed_dictionaries({"name": TEXT}),
                "spec": st.dictionaries(TEXT, st.integers() | TEXT, max_size=3),
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_dumped_is_read_back(values):
    assert documents.parse(documents.dump(list(values)), name="f") == values
