/** Runs in the browser: search, the mark at where one reads, and copying. The page reads without it. */
export const SCRIPT = `'use strict';
const search = document.getElementById('search');
const menu = document.querySelector('.menu');
const groups = [...document.querySelectorAll('.group')];
const items = new Map([...document.querySelectorAll('.item, .chapter')].map((item) => [item.id, item]));
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
    for (const entry of group.querySelectorAll('li')) {
      const text = words.get(decodeURIComponent(entry.firstElementChild.hash.slice(1))) ?? '';
      entry.hidden = !wanted.every((word) => text.includes(word));
      if (!entry.hidden) own += 1;
    }
    group.hidden = own === 0;
    found += own;
  }
  document.querySelector('.none').hidden = found > 0;
  document.querySelector('.starts').hidden = wanted.length > 0;
});
search.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') document.querySelector('.group:not([hidden]) li:not([hidden]) a')?.click();
  if (event.key === 'Escape') { search.value = ''; search.dispatchEvent(new Event('input')); search.blur(); }
});
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.metaKey || event.ctrlKey || event.target.matches('input, textarea')) return;
  event.preventDefault();
  menu.open = true;
  search.focus();
  search.select();
});

const links = new Map([...document.querySelectorAll('nav li a')].map((link) => [link.hash.slice(1), link]));
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

for (const block of document.querySelectorAll('pre')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(block.firstElementChild.textContent);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  if (navigator.clipboard) block.append(button);
}
`;
