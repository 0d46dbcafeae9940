"""The page in headless Chromium: what a person does with it, by mouse, keyboard and phone."""

import base64
import shutil
import time

import cv2
import pytest

from tests.serving.live import build, serving
from tests.serving.stub import album, picture, write

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
sync_api = pytest.importorskip('playwright.sync_api', reason='Playwright is not installed: pip install playwright')
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium: apt-get install chromium')


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture(scope='module')
def live(tmp_path_factory):
    tmp = tmp_path_factory.mktemp('page')
    root = album(tmp / 'photos', each=10)
    write(root / 'class2' / 'copy.png', 3)
    with serving(build(tmp / 'photos.index', root)) as service:
        service.root = root
        yield service


@pytest.fixture(params=['desktop', 'phone'])
def page(request, browser, live):
    phone = dict(viewport={'width': 360, 'height': 700}, is_mobile=True, has_touch=True, color_scheme='dark')
    context = browser.new_context(**(phone if request.param == 'phone' else {}))
    page = context.new_page()
    page.set_default_timeout(20000)
    page.troubles, page.addresses = [], []
    page.on('console', lambda message: page.troubles.append(message.text) if message.type == 'error' else None)
    page.on('pageerror', lambda error: page.troubles.append(str(error)))
    page.on('request', lambda asked: page.addresses.append(asked.url))
    page.goto(live.url)
    page.wait_for_selector('.card')
    yield page
    outside = [url for url in page.addresses if not url.startswith((live.url, 'blob:', 'data:'))]
    wide = page.evaluate('document.documentElement.scrollWidth - innerWidth')
    nameless = page.evaluate('''[...document.querySelectorAll('button, a, input, select, img')].filter(e =>
        e.checkVisibility() && !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length
        || e.hasAttribute('alt'))).map(e => e.outerHTML)''')
    context.close()
    assert (page.troubles, outside, nameless) == ([], [], []) and wide <= 0


def until(page, condition):
    """Wait for a condition. Playwright's own way evaluates text inside the page, which its policy forbids."""
    end = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def cards(page):
    """[(label, distance or None)] of the photos that are shown."""
    return [tuple(card) for card in page.evaluate('''[...document.querySelectorAll('#results .card')].map(card => [
        card.querySelector('.label').textContent, card.querySelector('.number')?.textContent ?? null])''')]


def found(page):
    page.wait_for_selector('#results:not(.busy) .number')
    return cards(page)


def png(seed):
    return cv2.imencode('.png', picture(seed)[:, :, ::-1])[1].tobytes()


def choose(page, seed):
    page.set_input_files('#file', {'name': 'mine.png', 'mimeType': 'image/png', 'buffer': png(seed)})
    return found(page)


def test_a_chosen_photo_shows_its_neighbours(page, live):
    assert len(cards(page)) == 24 and {far for _, far in cards(page)} == {None}
    assert page.inner_text('#heading') == 'Or start from one of these'
    shown = choose(page, 105)
    assert shown[0] == ('class1', '0.000') and len(shown) == 24
    assert [float(far) for _, far in shown] == sorted(float(far) for _, far in shown)
    assert page.inner_text('#query-name') == 'mine.png'
    assert 'Nearest photos: 24 photos' in page.text_content('#status')
    page.click('#more')
    until(page, "document.querySelectorAll('#results .card').length == 31")
    page.click('#clear')
    until(page, "!document.querySelector('#results .number')")
    assert page.is_hidden('#query')


@pytest.mark.parametrize('how', ['paste', 'drop'])
def test_a_pasted_and_a_dropped_photo_do_the_same(page, how):
    page.evaluate('''([how, data]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        transfer.items.add(new File([bytes], 'image.png', {type: 'image/png'}));
        const options = {bubbles: true, cancelable: true};
        document.body.dispatchEvent(how === 'paste'
            ? new ClipboardEvent('paste', {...options, clipboardData: transfer})
            : new DragEvent('drop', {...options, dataTransfer: transfer}));
    }''', [how, base64.b64encode(png(207)).decode()])
    assert found(page)[0] == ('class2', '0.000')


def test_more_like_this_the_label_and_the_way_back(page):
    choose(page, 1)
    page.click('#results .card:nth-child(2) .like')
    until(page, "document.getElementById('query-name').textContent != 'mine.png'")
    second = found(page)
    assert '#like=' in page.url and all(float(far) > 0 for _, far in second)
    page.select_option('#label', 'class2')
    until(page, "[...document.querySelectorAll('#results:not(.busy) .label')].every(e => "
                           "e.textContent == 'class2')")
    assert len(found(page)) in (10, 11) and 'label=class2' in page.url
    page.go_back()
    until(page, "document.getElementById('label').value == ''")
    until(page, 'document.querySelectorAll("#results:not(.busy) .card").length == 24')
    assert cards(page) == second


def test_the_duplicates(page):
    page.click('nav >> text=Duplicates')
    page.wait_for_selector('.group')
    assert page.inner_text('#duplicates-heading') == '1 group of nearly identical photos'
    assert page.locator('.group .card').count() == 2
    page.evaluate("() => { near.value = 1; near.dispatchEvent(new Event('change')); }")
    until(page, "document.querySelectorAll('.group .card').length > 2")


def test_the_keyboard_alone_is_enough(page):
    for _ in range(30):
        page.keyboard.press('Tab')
        if page.evaluate("document.activeElement.classList.contains('picture')"):
            break
    page.keyboard.press('Enter')
    assert page.evaluate("document.getElementById('viewer').open")
    until(page, "document.getElementById('viewer-image').naturalWidth > 0")
    page.keyboard.press('Escape')
    assert not page.evaluate("document.getElementById('viewer').open")
    page.keyboard.press('Tab')
    page.keyboard.press('Enter')
    assert len(found(page)) == 24 and '#like=' in page.url


def test_the_description_of_the_interface_is_drawn(page, live):
    page.goto(live.url + '/docs')
    page.wait_for_selector('.opblock')
    assert page.locator('.opblock').count() == 10
    page.click('.opblock-summary-path >> text=/search')
    page.wait_for_selector('.opblock-body')
    page.goto(live.url)         # what stands in Swagger UI is not ours to check
    page.wait_for_selector('.card')


def test_what_is_no_picture_is_told(page):
    page.set_input_files('#file', {'name': 'letter.txt', 'mimeType': 'text/plain', 'buffer': b'dear'})
    page.wait_for_selector('#alert:not([hidden])')
    assert 'no picture' in page.inner_text('#alert')
    page.set_input_files('#file', {'name': 'half.png', 'mimeType': 'image/png', 'buffer': png(1)[:300]})
    until(page, "document.getElementById('alert').textContent.includes('cannot be used')")
    page.troubles = [text for text in page.troubles if 'status of 422' not in text]
    assert choose(page, 5)[0][1] == '0.000' and page.is_hidden('#alert')
