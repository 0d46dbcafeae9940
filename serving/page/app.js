// The page of the service: everything it shows comes from the interface that /docs describes.

const $ = (id) => document.getElementById(id);
const FIRST = 24;
const TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/bmp'];
let service = {images: 0, near: 0.3, max_bytes: 2e7};
let photo = null;           // {blob, name, url} of the picture that was dropped
let shown = FIRST;          // how many results are asked for
let turn = 0;               // answers of an older question are thrown away

// ---- the interface

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error('The service does not answer. Is it still running?');
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  if (answer.status === 503) throw new Error('The service is busy. Try again in a moment.');
  const detail = typeof body.detail === 'string' ? body.detail : `error ${answer.status}`;
  throw new Error(detail[0].toUpperCase() + detail.slice(1) + '.');
}

// folders are often called 012.Yellow_Warbler
const spoken = (label) => label.replace(/^\d+\.(?=\D)/, '').replaceAll('_', ' ');

const query = (values) => {
  const words = Object.entries(values).filter(([, value]) => value !== '' && value != null);
  return words.length ? '?' + new URLSearchParams(words) : '';
};

// ---- where we are: #, #like=ID, #photo, #duplicates, each with &label=

function place() {
  const words = new URLSearchParams(location.hash.slice(1));
  return {like: words.get('like'), photo: words.has('photo') && photo, duplicates: words.has('duplicates'),
          label: words.get('label') || ''};
}

function go(words) {
  const hash = Object.entries(words).filter(([, value]) => value !== '' && value != null)
    .map(([key, value]) => value === true ? key : `${key}=${encodeURIComponent(value)}`).join('&');
  shown = FIRST;
  if ('#' + hash === location.hash || (!hash && !location.hash)) render(); else location.hash = hash;
}

addEventListener('hashchange', () => { shown = FIRST; render(); });

// ---- what is shown

function card(image, farthest) {
  const item = $('card').content.firstElementChild.cloneNode(true);
  const [picture, img, label, like] = ['.picture', 'img', '.label', '.like'].map((name) => item.querySelector(name));
  const name = spoken(image.label) || image.path;
  img.src = image.thumbnail;
  img.alt = image.label ? `${name}, ${image.path.split('/').pop()}` : image.path;
  img.addEventListener('error', () => { img.alt = 'This file is gone'; });
  picture.setAttribute('aria-label', `Enlarge ${img.alt}`);
  picture.addEventListener('click', () => view(image));
  label.textContent = name;
  label.title = image.path;
  like.setAttribute('aria-label', `More like this: ${img.alt}`);
  like.addEventListener('click', () => go({like: image.id, label: place().label}));
  const distance = item.querySelector('.distance');
  if (image.distance === undefined) {
    distance.remove();
  } else {
    distance.querySelector('.number').textContent = image.distance.toFixed(3);
    distance.title = 'Distance: 0 is the same picture';
    distance.querySelector('i').style.width = `${Math.max(3, 100 * (1 - image.distance / (farthest || 1)))}%`;
  }
  return item;
}

function fill(list, images, farthest) {
  list.replaceChildren(...images.map((image) => card(image, farthest)));
}

function tell(heading, status) {
  $('heading').textContent = heading;
  $('status').textContent = status ?? heading;
}

function complain(error) {
  $('alert').textContent = error ? error.message : '';
  $('alert').hidden = !error;
}

async function render() {
  const now = ++turn, at = place();
  complain(null);
  $('search').hidden = at.duplicates;
  $('duplicates').hidden = !at.duplicates;
  for (const link of document.querySelectorAll('nav a')) {
    if ((link.dataset.view === 'duplicates') === at.duplicates) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  $('label').value = at.label;
  try {
    if (at.duplicates) await showDuplicates(now);
    else await showPhotos(now, at);
  } catch (error) {
    if (now === turn) complain(error);
  } finally {
    if (now === turn) $('results').classList.remove('busy');
  }
}

async function showPhotos(now, at) {
  $('results').classList.add('busy');
  let images, heading;
  if (at.photo || at.like) {
    await showQuery(at);
    const filter = query({k: shown, label: at.label});
    const body = at.photo ? {body: photo.blob, headers: {'Content-Type': 'application/octet-stream'}}
      : {body: JSON.stringify({id: Number(at.like)}), headers: {'Content-Type': 'application/json'}};
    images = (await ask('/search' + filter, {method: 'POST', ...body})).results;
    heading = images.length ? 'Nearest photos' : 'Nothing was found';
  } else {
    $('query').hidden = true;
    document.body.classList.remove('asked');
    images = (await ask('/images' + query({limit: shown, label: at.label, spread: at.label ? '' : true}))).images;
    heading = images.length ? (at.label ? `Photos of ${spoken(at.label)}` : 'Or start from one of these') : 'There are no photos';
  }
  if (now !== turn) return;
  const farthest = Math.max(2, ...images.map((image) => image.distance ?? 0));
  fill($('results'), images, farthest);
  $('more').hidden = images.length < shown || shown >= 960;
  tell(heading, `${heading}: ${images.length} photos are shown`);
}

async function showQuery(at) {
  let name, url;
  if (at.photo) {
    [name, url] = [photo.name, photo.url];
  } else {
    const [image] = (await ask('/images' + query({after: at.like - 1, limit: 1}))).images;
    if (!image || image.id !== Number(at.like)) throw new Error('This photo is no longer in the index.');
    [name, url] = [image.label ? `${spoken(image.label)} · ${image.path.split('/').pop()}` : image.path, image.thumbnail];
  }
  $('query-image').src = url;
  $('query-image').alt = `The photo that is searched with: ${name}`;
  $('query-name').textContent = name;
  $('query').hidden = false;
  document.body.classList.add('asked');
}

async function showDuplicates(now) {
  const near = $('near').value;
  $('near-shown').textContent = Number(near).toFixed(2);
  $('groups').classList.add('busy');
  try {
    const {groups} = await ask('/duplicates' + query({max_distance: near, groups: 60}));
    if (now !== turn) return;
    const count = groups.reduce((sum, group) => sum + group.images.length, 0);
    const words = groups.length ? `${groups.length} group${groups.length > 1 ? 's' : ''} of nearly identical photos`
      : 'No nearly identical photos';
    $('duplicates-heading').textContent = words;
    $('status').textContent = `${words}, ${count} photos`;
    $('groups').replaceChildren(...(groups.length ? groups.map(groupOf) : [nothing()]));
  } finally {
    $('groups').classList.remove('busy');
  }
}

function groupOf(group) {
  const box = document.createElement('section'), title = document.createElement('h2'), list = document.createElement('ol');
  box.className = 'group';
  title.textContent = `${group.images.length} photos, at most ${group.distance.toFixed(3)} apart`;
  list.className = 'grid';
  fill(list, group.images, 1);
  box.append(title, list);
  return box;
}

function nothing() {
  const words = document.createElement('p');
  words.className = 'nothing';
  words.textContent = 'No two photos are as near as that. A larger distance finds scenes that look alike.';
  return words;
}

function view(image) {
  $('viewer-image').src = image.thumbnail.replace(/size=\d+/, 'size=1600');
  $('viewer-image').alt = image.path;
  $('viewer-label').textContent = spoken(image.label);
  $('viewer-path').textContent = image.path;
  $('viewer-like').onclick = () => { $('viewer').close(); go({like: image.id, label: place().label}); };
  $('viewer').showModal();
}

// ---- a picture of the user's

async function take(file) {
  if (!file) return;
  try {
    const blob = await fitting(file);
    if (photo) URL.revokeObjectURL(photo.url);
    photo = {blob, name: file.name && file.name !== 'image.png' ? file.name : 'your photo', url: URL.createObjectURL(file)};
    go({photo: true, label: place().label});
    $('heading').focus({preventScroll: true});
  } catch (error) {
    complain(error);
  }
}

async function fitting(file) {          // a picture that the service would not take is made smaller, or a JPEG, here
  if (file.size <= service.max_bytes && TYPES.includes(file.type)) return file;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error('This is no picture that your browser or the service can read.');
  }
  const scale = Math.min(1, 2000 / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({type: 'image/jpeg', quality: 0.95});
}

const pictureIn = (data) => [...(data?.files ?? [])].find((file) => file.type.startsWith('image/')) ?? data?.files?.[0];

$('file').addEventListener('change', (event) => { take(event.target.files[0]); event.target.value = ''; });
addEventListener('paste', (event) => take(pictureIn(event.clipboardData)));
addEventListener('dragover', (event) => { event.preventDefault(); document.body.classList.add('over'); });
addEventListener('dragleave', (event) => { if (!event.relatedTarget) document.body.classList.remove('over'); });
addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('over');
  take(pictureIn(event.dataTransfer));
});

$('clear').addEventListener('click', () => { go({label: place().label}); $('file').focus(); });
$('more').addEventListener('click', () => { shown = Math.min(2 * shown, 960); render(); });
$('label').addEventListener('change', (event) => {
  const at = place();
  go({photo: at.photo ? true : '', like: at.like, label: event.target.value});
});
$('near').addEventListener('input', () => { $('near-shown').textContent = Number($('near').value).toFixed(2); });
$('near').addEventListener('change', render);
$('viewer-close').addEventListener('click', () => $('viewer').close());
$('viewer').addEventListener('click', (event) => { if (event.target === $('viewer')) $('viewer').close(); });

async function begin() {
  try {
    const [health, {labels}] = await Promise.all([ask('/healthz'), ask('/labels')]);
    service = health;
    $('count').textContent = `${health.images.toLocaleString('en')} photos`;
    $('near').value = health.near;
    $('near-shown').textContent = health.near.toFixed(2);
    $('label').append(...labels.filter(({label}) => label).map(({label, images}) => new Option(`${spoken(label)} (${images})`, label)));
  } catch (error) {
    complain(error);
  }
  render();
}

begin();
