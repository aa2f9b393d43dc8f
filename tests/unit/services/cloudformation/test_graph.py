"""Order of creation, circles, names that lead nowhere, and what we do not do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation import graph
from tenantry.services.cloudformation.records import Resource
from tenantry.services.cloudformation.saga import removal_order


def resource(*needs: str, **members: Any) -> dict[str, Any]:
    return {"Type": "T", "DependsOn": list(needs), **members}


def always(name: str) -> bool:
    return name == "Yes"


def test_order_follows_references_and_otherwise_the_template() -> None:
    resources = {
        "Late": resource("Early"),
        "Free": resource(),
        "Early": resource(Properties={"x": {"Fn::Sub": "${Base.Arn}"}}),
        "Base": resource(),
    }
    assert graph.order(resources, always) == {"Free": (), "Base": (), "Early": ("Base",), "Late": ("Early",)}


def test_circle_is_named_without_what_is_behind_it() -> None:
    resources = {"A": resource("B"), "B": resource("A"), "Behind": resource("A"), "Before": resource()}
    with pytest.raises(ServiceError) as error:
        graph.order(resources, always)
    assert error.value.message == "Circular dependency between resources: [A, B]"


def test_resource_that_needs_itself_is_a_circle() -> None:
    with pytest.raises(ServiceError, match=r"Circular dependency between resources: \[A\]"):
        graph.order({"A": resource(Properties={"x": {"Ref": "A"}})}, always)


EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda edge: edge[0] > edge[1]), max_size=40)


@given(st.permutations(range(12)), EDGES)
def test_every_resource_comes_after_what_it_needs_and_goes_before_it(names: list[int], edges: list[tuple[int, int]]) -> None:
    resources = {f"R{name}": resource(*(f"R{low}" for high, low in edges if high == name)) for name in names}
    order = graph.order(resources, always)
    place = {name: index for index, name in enumerate(order)}
    assert set(order) == set(resources)
    assert all(place[need] < place[name] for name, needs in order.items() for need in needs)
    records = [Resource(logical_id=name, type="T", status="", updated_at=0, depends_on=needs) for name, needs in order.items()]
    gone = {record.logical_id: index for index, record in enumerate(removal_order(records))}
    assert all(gone[name] < gone[need] for name, needs in order.items() for need in needs)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            {"Resources": {"A": resource(Properties={"x": {"Ref": "Absent"}})}},
            "Template format error: Unresolved resource dependencies [Absent] in the Resources block of the template",
        ),
        ({"Resources": {"A": resource(Properties={"x": {"Fn::Sub": "${Absent.Arn}"}})}}, "dependencies [Absent]"),
        ({"Resources": {"A": resource("Absent")}}, "dependencies [Absent] in the Resources block"),
        ({"Resources": {"A": resource()}, "Outputs": {"O": {"Value": {"Ref": "B"}}}}, "[B] in the Outputs block"),
        ({"Resources": {"A": resource()}, "Conditions": {"Yes": {"Fn::Equals": [{"Ref": "A"}, 1]}}}, "in the Conditions block"),
        (
            {"Resources": {"A": resource(Properties={"x": {"Fn::GetAtt": ["B", "Nope"]}}), "B": resource()}},
            "Template error: resource B does not support attribute type Nope in Fn::GetAtt",
        ),
        (
            {"Resources": {"A": resource(Properties={"x": {"Ref": "B"}}), "B": resource(Condition="No")}},
            "Unresolved resource dependencies [B] in the Resources block",
        ),
        (
            {
                "Resources": {"A": resource(), "B": resource(Condition="No")},
                "Outputs": {"O": {"Value": {"Fn::GetAtt": ["B", "Arn"]}}},
            },
            "[B] in the Outputs block",
        ),
        (
            {"Resources": {"A": resource()}, "Parameters": {"P": {}}, "Outputs": {"O": {"Value": {"Fn::GetAtt": ["P", "x"]}}}},
            "instance of Fn::GetAtt references undefined resource P",
        ),
    ],
)
def test_name_that_leads_nowhere(template: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError) as error:
        graph.check_references(template, lambda kind: frozenset({"Arn"}), always)
    assert message in error.value.message


def test_names_in_what_does_not_hold_are_fine() -> None:
    template = {
        "Parameters": {"P": {}},
        "Resources": {
            "A": resource("B", Properties={"x": {"Fn::If": ["No", {"Ref": "B"}, {"Ref": "P"}]}}),
            "B": resource(Condition="No"),
        },
        "Outputs": {"O": {"Condition": "No", "Value": {"Ref": "B"}}, "P": {"Value": {"Ref": "AWS::Region"}}},
    }
    graph.check_references(template, lambda kind: frozenset(), always)


def test_what_we_do_not_do_is_named_all_at_once() -> None:
    template = {
        "Rules": {"R": {}},
        "Resources": {
            "A": resource(CreationPolicy={}, Properties={"x": "{{resolve:ssm:name}}", "y": {"Fn::Transform": {}}}),
            "B": resource(Properties={"Fn::ForEach::x": []}),
        },
    }
    assert list(graph.unsupported(template)) == [
        "template section Rules",
        "CreationPolicy (A)",
        "Fn::Transform (A)",
        "dynamic reference {{resolve:ssm:...}} (A)",
        "Fn::ForEach::x (B)",
    ]
