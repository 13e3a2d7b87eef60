"""Designs of tests of a rate with looks at numbers of patients."""

from typing import Any

from hypothesis import strategies as st

ENDPOINTS = ("orr", "cr", "crs3")


@st.composite
def rules(draw: st.DrawFn, test: dict[str, Any], n: int, upward: bool) -> list[dict[str, Any]]:
    """Rules of one look of n patients, each of a kind of its own."""
    up, down = ("at_least", "at_most") if upward else ("at_most", "at_least")
    found: list[dict[str, Any]] = []
    if "spending" in test:
        found.append({"name": "claim", "kind": "spending", "test": "t", "then": "success"})
        if "beta" in test:
            found.append({"name": "drop", "kind": "spending", "test": "t", "then": "futility"})
    elif draw(st.booleans()):
        claims = {"name": "claim", "then": "success", "test": "t"}
        count = n - draw(st.integers(0, n // 4)) if upward else draw(st.integers(0, n // 4))
        found.append(claims | {"kind": "count", "endpoint": "orr", up: count})
    low = draw(st.integers(0, n // 3))
    kinds = [
        {"kind": "count", "endpoint": "orr", down: low if upward else n - low},
        {"kind": "predictive", "test": "t", "at_most": draw(st.sampled_from([0.02, 0.1]))},
        {"kind": "conditional", "test": "t", "rate": 0.5, "at_most": draw(st.sampled_from([0.02, 0.1]))},
    ]
    if "beta" not in test and draw(st.booleans()):
        found.append({"name": "weak", "then": "futility"} | draw(st.sampled_from(kinds)))
    if draw(st.booleans()):
        harm = {"kind": "posterior", "endpoint": "crs3", "above": 0.2, "probability_at_least": 0.9}
        found.append({"name": "toxic", "then": "harm"} | harm)
    return found or [{"name": "watch", "kind": "count", "endpoint": "orr", "at_least": n, "then": "consider"}]


@st.composite
def designs(draw: st.DrawFn) -> dict[str, Any]:
    """One or two tests of a rate with up to three looks at numbers of patients."""
    end = draw(st.integers(12, 30))
    sizes = draw(st.lists(st.integers(4, end - 1), max_size=3, unique=True).map(sorted))
    method = draw(st.sampled_from(["exact", "normal", "posterior", "count"]))
    alternative = draw(st.sampled_from(["greater", "less"]))
    test: dict[str, Any] = {"name": "t", "endpoint": "orr", "null": draw(st.sampled_from([0.3, 0.5]))}
    test |= {"method": method, "alternative": alternative}
    if method == "count":
        test["count"] = draw(st.integers(1, end - 1))
    elif method == "posterior":
        test["probability"] = draw(st.sampled_from([0.8, 0.95]))
    else:
        test["alpha"] = draw(st.sampled_from([0.05, 0.1]))
        if sizes and draw(st.booleans()):
            test["spending"] = draw(st.sampled_from(["pocock", "obrien-fleming", "pocock-classical"]))
            if draw(st.booleans()):
                assumed = test["null"] + (0.25 if alternative == "greater" else -0.25)
                test |= {"beta": 0.2, "beta_spending": "obrien-fleming", "assumed": assumed}
                test["binding"] = "classical" not in test["spending"] and draw(st.booleans())
    second = {"name": "s", "endpoint": "cr", "null": 0.2, "alpha": 0.1, "after": "t"}
    looks = [
        {"name": f"look-{n}", "when": {"infused": n}, "rule": draw(rules(test, n, alternative == "greater"))}
        for n in sizes
    ]
    return {
        "cohort": {"infused": end, "attrition": 0.0},
        "test": [test, second] if draw(st.booleans()) else [test],
        "look": looks,
        "simulation": {"endpoints": list(ENDPOINTS)},
    }
