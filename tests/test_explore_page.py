"""The explorer's page in a browser: what is dragged is drawn, and nothing that is overtaken."""

import json
import threading
import time

import pytest
from test_explore import files  # noqa: F401  a fixture
from test_report import luminance

import beamfold as bf
from beamfold.explore.designs import Designs
from beamfold.explore.live import Live, serve
from beamfold.explore.offline import offline_page
from beamfold.files.channel_set import open_set
from beamfold.files.entries import ScenarioSpec

SETTLED = "document.documentElement.dataset.settled === 'true'"
TARGETS = (-30.0, 20.0)


@pytest.fixture(scope="module")
def live(files, tmp_path_factory):  # noqa: F811
    spec = ScenarioSpec(channels=files / "line.npz", targets_deg=list(TARGETS), width_deg=12.0)
    return Live(Designs(spec, open_set(spec)), tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def server(live):
    running = serve(live, 0)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def until(page, code):
    """Wait until an expression holds in the page."""
    end = time.monotonic() + 120
    while not page.run(code):
        told = [page.run(f"document.getElementById('{name}').textContent") for name in ("state", "trouble")]
        assert time.monotonic() < end, (code, told, page.errors)
        time.sleep(0.01)


def opened(page, place, **more):
    page.open(place, **more)
    until(page, SETTLED)
    until(page, "run.curve !== undefined")


def middle(page, css):
    """The middle of an element in the window, brought into view."""
    node = f"document.querySelector('{css}')"
    page.run(f"{node}.scrollIntoView({{block: 'center'}})")
    box = json.loads(page.run(f"JSON.stringify({node}.getBoundingClientRect())"))
    return box["left"] + box["width"] / 2, box["top"] + box["height"] / 2, box


def pulled(page, css, across, steps=4):
    """Take hold of an element in its middle, or of a slider's thumb, move by so many pixels, let go.

    Between the steps there is time to draw.
    """
    x, y, box = middle(page, css)
    if css.startswith("input"):
        share = page.run(f"(node => node.value / node.max)(document.querySelector('{css}'))")
        x = box["left"] + 8 + (box["width"] - 16) * share
    page.mouse("mousePressed", x, y)
    for i in range(1, steps + 1):
        page.mouse("mouseMoved", x + across * i / steps, y, button="left", buttons=1)
        until(page, SETTLED)
    page.mouse("mouseReleased", x + across, y)


def designed(live, page):
    """What `bf.design` makes of the state that the page shows, by the lines that it shows."""
    state = live.start.model_copy(
        update={
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(page.run("JSON.stringify(state)")).items()
        }
    )
    H = bf.read_channels(live.held.spec.channels)[state.channel : state.channel + 1]
    Psi = bf.solve_covariance(16, state.targets_deg, width_deg=12.0)
    return bf.design(bf.make_scenario(H, Psi, snr_db=state.snr_db, weight=state.weight, chains=state.chains))


def shows(page, d):
    """That the page shows the rate and τ of a design."""
    answer = json.loads(page.run("JSON.stringify([run.answer.rate, run.answer.tau])"))
    assert answer == [float(d.rate), float(d.tau)]
    shown = page.run("Array.from(document.querySelectorAll('#figures b'), (b) => b.textContent)")
    assert [float(text) for text in shown[:2]] == pytest.approx(answer, rel=5e-4)


def test_dragging_draws_designs_on_the_way_and_ends_at_that_of_bf_design(page, server, live):
    opened(page, server.address)
    shows(page, designed(live, page))
    before, omega, curve = (page.run(code) for code in ("run.drawn", "state.weight", PATH))
    pulled(page, "input[name=weight]", 60)
    until(page, SETTLED)
    assert page.run("run.drawn") >= before + 4
    assert page.run("state.weight") > omega and page.run(PATH) != curve
    shows(page, designed(live, page))
    page.run("document.querySelector('input[name=chains]').focus()")
    for kind in ("keyDown", "keyUp"):
        page.ask(
            "Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
        )
    until(page, f"state.chains === 3 && {SETTLED}")
    shows(page, designed(live, page))
    assert page.errors == []


PATH = "document.querySelectorAll('#pattern path.curve')[1].getAttribute('d')"


def test_targets_are_dragged_added_and_removed(page, server, live):
    opened(page, server.address)
    pulled(page, "#pattern .target .knob", 40)
    until(page, f"state.targets_deg[0] > -30 && {SETTLED}")
    assert page.run("state.targets_deg[0] % 1 === 0")
    shows(page, designed(live, page))
    x = page.run("document.querySelector('#pattern .target').getBoundingClientRect().left")
    left = page.run("document.querySelector('#pattern .plot').getBoundingClientRect().left")
    assert page.run(f"shown.pattern.sx.inverse({x - left})") == pytest.approx(
        page.run("state.targets_deg[0]"), abs=0.3
    )
    page.run("document.querySelectorAll('.tools button')[0].click()")
    until(page, f"state.targets_deg.length === 3 && {SETTLED}")
    page.ask("Input.dispatchKeyEvent", type="keyDown", key="Delete", code="Delete", windowsVirtualKeyCode=46)
    until(page, f"state.targets_deg.length === 2 && {SETTLED}")
    # Two targets in one mainlobe are refused in the page, which keeps what it shows and says so.
    page.run("shown.targets.move(1, state.targets_deg[0] + 2, true)")
    until(page, "!document.getElementById('trouble').hidden")
    assert not page.run(SETTLED) and page.run("document.body.classList.contains('stale')")
    page.run("shown.targets.move(1, 50, true)")
    until(page, SETTLED)
    assert page.run("document.getElementById('trouble').hidden")
    shows(page, designed(live, page))


def test_an_overtaken_answer_is_not_drawn(page, server, live):
    opened(page, server.address)
    page.run(
        "window.usual = source.design.bind(source); window.held = [];"
        "source.design = (asked, number) => new Promise((done, failed) =>"
        " usual(asked, number).then((answer) => held.push(() => done(answer)), failed))"
    )
    drawn = page.run("run.drawn")
    page.run("change({weight: 0.011}, true)")
    until(page, "held.length === 1")
    page.run("change({weight: 0.022}, true)")  # sent beside the first one, which takes long
    until(page, "held.length === 2")
    page.run("held[1]()")
    until(page, SETTLED)
    page.run("held[0]()")
    until(page, "run.overtaken === 1")
    assert page.run("run.drawn") == drawn + 1
    assert page.run("run.answer.state.weight") == 0.022
    shows(page, designed(live, page))


def test_a_lost_server_is_said_and_found_again(page, server):
    opened(page, server.address)
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.ask("Network.enable")
    page.ask("Network.emulateNetworkConditions", offline=True, **network)
    page.run("change({weight: 0.5}, true)")
    until(page, "document.getElementById('state').textContent === 'no server'")
    assert "does not answer" in page.run("document.getElementById('trouble').textContent")
    assert not page.run(SETTLED)
    page.ask("Network.emulateNetworkConditions", offline=False, **network)
    until(page, SETTLED)
    assert page.run("document.getElementById('trouble').hidden && run.answer.state.weight === 0.5")


def test_the_page_waits_while_code_is_compiled(page, live):
    late = Live(live.held, live.folder, compiling=60)
    begin = threading.Event()
    usual, late.warm = late.warm, lambda: begin.wait(60) and usual()
    running = serve(late, 0)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        page.open(running.address)
        until(page, "document.getElementById('state').textContent.startsWith('compiling')")
        assert "of about 60 s" in page.run("document.getElementById('state').textContent")
        begin.set()
        until(page, SETTLED)
    finally:
        running.shutdown()
        running.server_close()


def test_the_lines_of_python_are_shown_and_the_design_is_saved(page, server, live):
    opened(page, server.address)
    page.run("document.getElementById('show').click()")
    until(page, "document.querySelector('#recipe pre').textContent.startsWith('import')")
    page.run("change({weight: 0.123}, true)")
    until(page, "document.querySelector('#recipe pre').textContent.includes('weight=0.123')")
    assert "--weight 0.123" in page.run("document.querySelectorAll('#recipe pre')[1].textContent")
    page.run("document.getElementById('save').click()")
    until(page, "document.getElementById('saved').textContent.startsWith('saved as')")
    assert len(list(live.folder.glob("line-explored-*.mat"))) == 1


@pytest.fixture(scope="module")
def table(files, tmp_path_factory):  # noqa: F811
    spec = ScenarioSpec(channels=files / "line.npz", snr_db=[6.0, 12.0])
    text, _ = offline_page(Designs(spec, open_set(spec)))
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_page_of_a_table_works_without_a_server(page, table):
    opened(page, table)
    pulled(page, "input[name=weight]", 80)
    until(page, SETTLED)
    omega, snr_db = page.run("state.weight"), page.run("state.snr_db")
    assert omega > 0.3 and snr_db == 6
    H = bf.read_channels(page.run("JSON.stringify(facts.table.recipe.python)").split("'")[1])[:1]
    shows(page, bf.design(bf.make_scenario(H, bf.solve_covariance(16), snr_db=snr_db, weight=omega)))
    page.run("document.getElementById('show').click()")
    until(page, f"document.querySelector('#recipe pre').textContent.includes('weight={omega:g}')")
    assert page.run("document.getElementById('save').hidden")
    assert page.run("performance.getEntriesByType('resource').length") == 0
    assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_reads_well_on_a_phone_and_on_a_desk(page, server, table, scheme, width):
    for place in (server.address, table):
        opened(page, place, scheme=scheme, width=width)
        assert page.run("document.documentElement.scrollWidth") <= width
        style = "getComputedStyle(document.querySelector('{}')).{}"
        back = luminance(page.run(style.format("body", "backgroundColor")))
        tint = luminance(page.run(style.format("#figures .figure", "backgroundColor")))
        for css, part, behind in (("body", "color", back), ("dt", "color", tint), ("dd b", "color", tint),
                                  (".plot svg text", "fill", back), (".name", "color", back)):  # fmt: skip
            bright, dim = sorted((behind, luminance(page.run(style.format(css, part)))), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, css
        wide = page.run(
            "Array.from(document.querySelectorAll('main *'), (node) => node.getBoundingClientRect())"
            ".filter((box) => box.width && (box.left < -1 || box.right > innerWidth + 1)).length"
        )
        assert wide == 0
