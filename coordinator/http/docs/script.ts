/**
 * Runs in the browser: search, languages of samples, the key, trying calls, and copying. The page can be read without
 * it.
 */
export const SCRIPT = `'use strict';
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const { dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
};

const search = $('#search');
const menu = $('.menu');
const groups = $$('.group');
const items = new Map($$('.item, .chapter').map((item) => [item.id, item]));
const words = new Map([...items].map(([id, item]) => [id, item.textContent.toLowerCase()]));

const narrow = matchMedia('(max-width: 60rem)');
const fold = () => { menu.open = !narrow.matches; };
narrow.addEventListener('change', fold);
fold();
menu.addEventListener('click', (event) => { if (narrow.matches && event.target.closest('a')) menu.open = false; });

search.closest('p').hidden = false;
search.addEventListener('input', () => {
  const wanted = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let found = 0;
  for (const group of groups) {
    let own = 0;
    for (const entry of $$('li', group)) {
      const text = words.get(decodeURIComponent(entry.firstElementChild.hash.slice(1))) ?? '';
      entry.hidden = !wanted.every((word) => text.includes(word));
      if (!entry.hidden) own += 1;
    }
    group.hidden = own === 0;
    found += own;
  }
  $('.none').hidden = found > 0;
  $('.starts').hidden = wanted.length > 0;
});
search.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') $('.group:not([hidden]) li:not([hidden]) a')?.click();
  if (event.key === 'Escape') { search.value = ''; search.dispatchEvent(new Event('input')); search.blur(); }
});
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.metaKey || event.ctrlKey || event.target.matches('input, textarea, select')) return;
  event.preventDefault();
  menu.open = true;
  search.focus();
  search.select();
});

const links = new Map($$('nav li a').map((link) => [link.hash.slice(1), link]));
const visible = new Set();
let marked;
const observer = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) isIntersecting ? visible.add(target.id) : visible.delete(target.id);
  const first = [...items.keys()].find((id) => visible.has(id) && links.has(id));
  if (first === undefined || links.get(first) === marked) return;
  marked?.removeAttribute('aria-current');
  marked = links.get(first);
  marked.setAttribute('aria-current', 'true');
  if (!narrow.matches) marked.scrollIntoView({ block: 'nearest' });
}, { rootMargin: '-10% 0px -60% 0px' });
for (const item of items.values()) observer.observe(item);

const SAMPLE_URL = document.body.dataset.sampleUrl;
for (const code of $$('pre code')) {
  if (code.textContent.includes(SAMPLE_URL)) code.textContent = code.textContent.replaceAll(SAMPLE_URL, location.origin);
}

const copyable = (block) => {
  if (!navigator.clipboard) return;
  const button = make('button', { type: 'button', textContent: 'Copy', className: 'copy' });
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(block.firstElementChild.textContent);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  block.append(button);
};
$$('pre').forEach(copyable);

const store = {
  get: (name) => { try { return sessionStorage.getItem(name) ?? ''; } catch { return ''; } },
  set: (name, value) => { try { sessionStorage.setItem(name, value); } catch { /* Private windows may forbid it. */ } },
};

const speak = (language) => {
  for (const tab of $$('.tabs button')) tab.setAttribute('aria-selected', String(tab.dataset.language === language));
  for (const panel of $$('.sample')) panel.hidden = panel.dataset.language !== language;
  store.set('baton.language', language);
};
for (const tabs of $$('.tabs')) {
  tabs.hidden = false;
  tabs.addEventListener('click', (event) => {
    const { language } = event.target.dataset;
    if (language === undefined) return;
    const before = event.target.getBoundingClientRect().top;
    speak(language);
    scrollBy(0, event.target.getBoundingClientRect().top - before);
  });
}
speak(store.get('baton.language') || 'shell');

const key = $('#key');
const who = $('.who');
key.form.hidden = false;
key.value = store.get('baton.key');
const authorization = () => (key.value === '' ? {} : { Authorization: 'Bearer ' + key.value });
const introduce = async () => {
  store.set('baton.key', key.value);
  who.textContent = '';
  if (key.value === '') return;
  const answer = await fetch('/session', { headers: authorization() }).catch(() => null);
  const told = answer?.ok ? await answer.json() : null;
  who.textContent = told === null ? 'This key is not accepted.' : 'Calls are made as ' + told.name + ' (' + told.role + ').';
  who.classList.toggle('wrong', told === null);
};
key.addEventListener('change', introduce);
key.form.addEventListener('submit', (event) => { event.preventDefault(); void introduce(); });
$('.forget').addEventListener('click', () => { key.value = ''; void introduce(); });
void introduce();

let loading;
const operationOf = async (method, path) => {
  loading ??= fetch('/openapi.json').then((answer) => answer.json());
  return (await loading).paths[path][method];
};

const field = ({ name, in: place, required, description = '', schema = {}, example }) => {
  const isExample = place === 'path' || required;
  const input = make('input', {
    name, value: isExample && place !== 'path' ? example ?? '' : '', required, spellcheck: false, autocomplete: 'off',
    placeholder: example === undefined ? '' : String(example), dataset: { place },
  });
  const label = make('span', {}, make('code', { textContent: name }), ' ' + (place === 'header' ? 'header' : ''));
  return make('label', { title: description }, label, input);
};

const formOf = (operation) => {
  const form = make('form', { className: 'call' });
  const [needed, optional] = [true, false].map((wanted) =>
    operation.parameters.filter((one) => (one.required || one.in === 'path') === wanted).map(field));
  form.append(...needed);
  if (optional.length > 0) form.append(make('details', {}, make('summary', { textContent: 'Optional parameters' }), ...optional));
  const media = operation.requestBody?.content['application/json'];
  if (media !== undefined) {
    const text = JSON.stringify(media.example, null, 2);
    const body = make('textarea', { name: 'body', value: text, spellcheck: false, rows: Math.min(16, text.split('\\n').length) });
    body.setAttribute('aria-label', 'Body');
    form.append(make('label', {}, make('span', { textContent: 'Body' }), body));
  }
  const buttons = make('p', { className: 'buttons' },
    make('button', { textContent: 'Send', className: 'send' }),
    make('button', { type: 'button', textContent: 'Stop', className: 'stop', hidden: true }));
  form.append(buttons, make('div', { className: 'outcome' }));
  return form;
};

const requestOf = (form, path) => {
  const inputs = $$('input', form);
  const of = (place) => inputs.filter((input) => input.dataset.place === place && input.value !== '');
  const filled = of('path').reduce((so, { name, value }) => so.replace('{' + name + '}', encodeURIComponent(value)), path);
  const query = new URLSearchParams(of('query').map(({ name, value }) => [name, value]));
  const headers = { ...authorization(), ...Object.fromEntries(of('header').map(({ name, value }) => [name, value])) };
  const body = $('textarea', form)?.value;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  return { url: filled + (query.size === 0 ? '' : '?' + query), headers, body };
};

const pretty = (text) => { try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; } };

const shown = (status, note, text) => {
  const kind = status >= 400 || status === 0 ? 'failed' : 'passed';
  const line = make('p', { className: 'answered' }, make('span', { className: 'status ' + kind, textContent: status || 'No answer' }), ' ' + note);
  if (text === '') return [line];
  const block = make('pre', {}, make('code', { textContent: text }));
  copyable(block);
  return [line, block];
};

const send = async (form, method, path) => {
  const outcome = $('.outcome', form);
  const stop = $('.stop', form);
  const { url, headers, body } = requestOf(form, path);
  const controller = new AbortController();
  stop.onclick = () => controller.abort();
  stop.hidden = false;
  const began = performance.now();
  const note = (answer) => [Math.round(performance.now() - began) + ' ms', answer.headers.get('x-request-id') && 'request ' + answer.headers.get('x-request-id'),
    answer.headers.get('retry-after') && 'retry after ' + answer.headers.get('retry-after') + ' s',
    answer.headers.get('baton-deduplicated') && 'deduplicated'].filter(Boolean).join(' · ');
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body, signal: controller.signal });
    if (answer.headers.get('content-type')?.startsWith('text/event-stream')) {
      outcome.replaceChildren(...shown(answer.status, note(answer), ' '));
      const code = $('code', outcome);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) code.textContent += part.value;
    } else outcome.replaceChildren(...shown(answer.status, note(answer), pretty(await answer.text())));
  } catch (error) {
    if (controller.signal.aborted) outcome.append(make('p', { className: 'answered', textContent: 'Stopped.' }));
    else outcome.replaceChildren(...shown(0, String(error), ''));
  } finally {
    stop.hidden = true;
  }
};

for (const button of $$('.try')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const { method, path } = button.dataset;
    const open = $('.call', button.parentElement);
    if (open !== null) { open.hidden = !open.hidden; button.setAttribute('aria-expanded', String(!open.hidden)); return; }
    const form = formOf(await operationOf(method, path));
    form.addEventListener('submit', (event) => { event.preventDefault(); void send(form, method, path); });
    button.after(form);
    button.setAttribute('aria-expanded', 'true');
    $('input, textarea', form)?.focus({ preventScroll: true });
  });
}
`;
