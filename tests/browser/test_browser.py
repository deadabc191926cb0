"""The report's page in a real browser."""

import json
import re

import pytest
from page_bench import HOSTILE, several_runs, whole_page

from mtut_bench.report.page import render_page

pytestmark = pytest.mark.browser

# Words and key codes of the WebDriver standard: selenium is an extra, and this file is collected
# without it too.
CSS, TAG = "css selector", "tag name"
TAB, ENTER, CONTROL, SPACE, DELETE = "\ue004", "\ue007", "\ue009", "\ue00d", "\ue017"

MIN_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, level AA
CONTRASTS = r"""
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgb = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (c) => {
  const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c;
    if (c[3] !== 0) return [255, 0, 255, 255];
  }
  return [255, 255, 255, 255];
};
return [...document.body.querySelectorAll("*")]
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .filter((e) => e.checkVisibility() && !["SCRIPT", "STYLE"].includes(e.tagName))
  .map((e) => {
    const [a, b] = [luminance(rgb(getComputedStyle(e).color)), luminance(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return [e.tagName, e.textContent.trim().slice(0, 30), ratio];
  });
"""


@pytest.fixture(scope="module")
def html():
    return whole_page(render_page)


@pytest.fixture
def show(driver, tmp_path):
    """Return a function that opens a page as a file, with an empty storage and log."""

    def show(html, mode="light", width=1280):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        media = {"features": [{"name": "prefers-color-scheme", "value": mode}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get("about:blank")
        for kind in ("browser", "performance"):
            driver.get_log(kind)
        driver.get(path.as_uri())
        driver.execute_script("localStorage.clear()")
        driver.refresh()
        return path.as_uri()

    return show


@pytest.fixture
def page(show, html):
    return show(html)


def find(driver, selector):
    return driver.find_element(CSS, selector)


def find_all(driver, selector):
    return driver.find_elements(CSS, selector)


def console(driver):
    return [entry["message"] for entry in driver.get_log("browser")]


def brightness(driver):
    """Red, green and blue of the page's ground, added."""
    colour = find(driver, "body").value_of_css_property("background-color")
    return sum(int(v) for v in re.findall(r"\d+", colour)[:3])


def uneven(driver):
    """The section of the table whose numbers sort otherwise than their texts."""
    (section,) = [s for s in find_all(driver, "#measured .card") if "Uneven" in s.text]
    return section


def column(section, index):
    rows = section.find_elements(CSS, "tbody tr")
    return [row.find_elements(CSS, "th, td")[index].text for row in rows]


def heads(section):
    return section.find_elements(CSS, "thead th")


def test_the_console_stays_empty(driver, page):
    for button in find_all(driver, "button"):
        press_with_mouse(button)
    find(driver, "#filter").send_keys("i3d")
    assert console(driver) == []
    driver.execute_script("console.error('seen')")
    assert "seen" in console(driver)[0]


def test_nothing_leaves_the_page(driver, page):
    messages = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
    asked = {
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    }
    assert page in asked
    assert all(url == page or url.startswith(("data:", "about:")) for url in asked)


def test_the_policy_blocks_injected_code(driver, page):
    driver.execute_script(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src="https://example.org/a.png" onerror="window.ran = 1">\')'
    )
    assert any("Content Security Policy" in line for line in console(driver))
    assert driver.execute_script("return window.ran") is None


NUMBERS = {
    None: ["9.5 \u00b1 0.1", "100.0 \u00b1 0.0", "-", "71.2 \u00b1 3.1"],
    "descending": ["100.0 \u00b1 0.0", "71.2 \u00b1 3.1", "9.5 \u00b1 0.1", "-"],
    "ascending": ["9.5 \u00b1 0.1", "71.2 \u00b1 3.1", "100.0 \u00b1 0.0", "-"],
}


def press_with_mouse(button):
    # The bar at the top stays in place: the browser's own scrolling may put a button under it.
    button.parent.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def press_enter(button):
    button.send_keys(ENTER)


def press_space(button):
    button.send_keys(SPACE)


@pytest.mark.parametrize("press", [press_with_mouse, press_enter, press_space])
def test_a_column_of_numbers_sorts(driver, page, press):
    section = uneven(driver)
    head = heads(section)[2]
    button = head.find_element(TAG, "button")
    for state in (None, "descending", "ascending", None):
        assert head.get_attribute("aria-sort") == state
        assert column(section, 2) == NUMBERS[state]
        press(button)


def test_a_column_of_names_sorts_and_lines_keep_their_method(driver, page):
    section = uneven(driver)
    assert column(section, 0)[0] == "I3D"
    hidden = section.find_elements(CSS, ".repeated")
    assert {element.size["width"] for element in hidden} == {1}
    heads(section)[1].find_element(TAG, "button").send_keys(ENTER)
    assert column(section, 1) == ["depth", "depth", "rgb", "rgb"]
    assert column(section, 0) == ["I3D", "C3D", "I3D", "C3D"]
    assert min(element.size["width"] for element in hidden) > 1


def test_only_one_column_is_sorted_at_a_time(driver, page):
    section = uneven(driver)
    for head in heads(section):
        head.find_element(TAG, "button").send_keys(ENTER)
    assert [h.get_attribute("aria-sort") for h in heads(section)] == [None, None, "descending"]


def test_runs_sort_with_their_details(driver, page):
    find(driver, "#runs-table thead button").click()
    ids = [cell.text for cell in find_all(driver, "#runs-table tbody th")]
    assert ids == sorted(run.record.id[:12] for run in several_runs())
    for body in find_all(driver, "#runs-table tbody"):
        row, more = body.find_elements(TAG, "tr")
        assert row.find_element(TAG, "th").text in more.get_attribute("textContent")


def test_dark_and_light_follow_the_system(driver, show, html):
    show(html, mode="light")
    assert brightness(driver) > 700
    show(html, mode="dark")
    assert brightness(driver) < 100


def test_the_button_overrides_the_system_and_is_remembered(driver, page):
    button = find(driver, "#theme")
    assert button.text == "Theme: auto"
    button.click()
    button.click()
    assert button.text == "Theme: dark"
    assert brightness(driver) < 100
    driver.refresh()
    assert brightness(driver) < 100
    find(driver, "#theme").click()
    assert find(driver, "#theme").text == "Theme: auto"
    assert brightness(driver) > 700


def test_without_storage_the_button_works_all_the_same(driver, show, html):
    source = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('none'); }})"
    show(html)
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        driver.refresh()
        find(driver, "#theme").click()
        find(driver, "#theme").click()
        assert brightness(driver) < 100
        assert console(driver) == []
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def shown_runs(driver):
    return [cell.text for cell in find_all(driver, "#runs-table tbody th") if cell.is_displayed()]


def test_the_filter_finds_words_in_lines_and_in_details(driver, page):
    runs = several_runs()
    field, count = find(driver, "#filter"), find(driver, "#filter-count")
    assert count.text == f"{len(runs)} of {len(runs)}"
    wanted = runs[1].record.id
    field.send_keys(f"CPU {wanted}")
    assert shown_runs(driver) == [wanted[:12]]
    assert count.text == f"1 of {len(runs)}"
    field.send_keys(" nowhere")
    assert shown_runs(driver) == []
    assert find(driver, "#filter-none").is_displayed()
    field.send_keys(CONTROL, "a")
    field.send_keys(DELETE)
    assert len(shown_runs(driver)) == len(runs)


def test_details_open_by_keyboard(driver, page):
    button = find(driver, "#runs-table .open")
    more = find(driver, f"#{button.get_attribute('aria-controls')}")
    assert not more.is_displayed()
    button.send_keys(ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    assert more.is_displayed()


def tab(driver):
    driver.switch_to.active_element.send_keys(TAB)
    return driver.switch_to.active_element


def test_the_keyboard_starts_at_the_skip_link(driver, page):
    skip = tab(driver)
    assert skip.text == "Skip to content"
    assert skip.rect["y"] >= 0
    assert tab(driver).text == "Summary"
    skip.send_keys(ENTER)
    assert driver.switch_to.active_element.get_attribute("id") == "main"


def test_focus_goes_down_the_page_and_is_always_seen(driver, page):
    num_stops = driver.execute_script(
        "return [...document.querySelectorAll('a, button, input, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility()).length"
    )
    places = []
    for _ in range(num_stops):
        element = tab(driver)
        assert element.value_of_css_property("outline-style") == "solid"
        places.append(
            driver.execute_script(
                "const all = [...document.querySelectorAll('*')];return all.indexOf(arguments[0])",
                element,
            )
        )
    assert places == sorted(set(places))


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(driver, show, html, width):
    show(html, width=width)
    for button in find_all(driver, ".open"):
        button.click()
    inner, outer = driver.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    assert inner <= outer <= width


def test_a_table_that_is_cut_off_can_be_reached_by_keyboard(driver, show, html):
    show(html, width=360)
    box = find(driver, "#provenance .scroll")
    assert box.get_attribute("tabindex") == "0"
    assert "clipped" in box.get_attribute("class")
    driver.execute_script("arguments[0].scrollLeft = 1e6", box)
    driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
    assert "clipped" not in box.get_attribute("class")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_all_text_has_enough_contrast(driver, show, html, mode):
    show(html, mode=mode)
    find(driver, "#runs-table .open").click()
    uneven(driver).find_element(TAG, "button").send_keys(ENTER)
    found = driver.execute_script(CONTRASTS)
    assert len(found) > 300
    assert [entry for entry in found if entry[2] < MIN_CONTRAST] == []


def test_hostile_names_do_not_run(driver, show):
    show(whole_page(render_page, HOSTILE))
    assert console(driver) == []
    assert HOSTILE in find(driver, "#summary").text
    assert driver.execute_script("return document.scripts.length") == 1


def test_without_scripts_everything_is_there(driver, show, html):
    show(re.sub(r"<script>.*</script>", "", html, flags=re.DOTALL))
    assert not find(driver, "#theme").is_displayed()
    assert not find(driver, ".filter").is_displayed()
    assert all(row.is_displayed() for row in find_all(driver, "#runs-table .more"))
    assert all(row.is_displayed() for row in find_all(driver, "tbody tr"))
    assert find_all(driver, "thead button") == []
