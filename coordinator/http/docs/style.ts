export const STYLE = `:root {
  color-scheme: light dark;
  --paper: #fff; --wash: #f6f7f9; --line: #e3e6ea; --ink: #16191d; --soft: #57606a; --link: #1f5fd0; --mark: #e8f0fe;
  --code-paper: #f6f7f9; --code-ink: #1b2733; --chip: #eceff3;
  --get: #08775b; --post: #1f5fd0; --put: #92570a; --patch: #7a3fb5; --delete: #c02637;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #101317; --wash: #161a20; --line: #262c34; --ink: #e6e9ed; --soft: #9aa4af; --link: #7fb0ff; --mark: #1b2a44;
    --code-paper: #161b22; --code-ink: #d7dee6; --chip: #222831;
    --get: #4cc9a0; --post: #7fb0ff; --put: #e3b061; --patch: #c79bf2; --delete: #ff8a94;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 4rem; scrollbar-gutter: stable; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; -webkit-text-size-adjust: 100%; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code, pre, kbd, .path, .method { font-family: var(--mono); font-size: .86em; }
[hidden] { display: none !important; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; z-index: 3; background: var(--paper); padding: .3rem .6rem; }

.top { position: sticky; top: 0; z-index: 2; display: flex; align-items: baseline; gap: .6rem; padding: .75rem 1.5rem; background: var(--paper); border-bottom: 1px solid var(--line); color: var(--soft); }
.brand { color: var(--ink); font-weight: 650; font-size: 1.1rem; letter-spacing: -.01em; }
.version { font-size: .8rem; background: var(--chip); border-radius: 99px; padding: .05rem .55rem; }
.raw { margin-left: auto; }

.frame { display: grid; grid-template-columns: 19rem minmax(0, 1fr); max-width: 96rem; margin: 0 auto; }
nav { position: sticky; top: 3.2rem; align-self: start; height: calc(100vh - 3.2rem); overflow-y: auto; overscroll-behavior: contain; padding: 1rem .75rem 3rem 1.5rem; border-right: 1px solid var(--line); scrollbar-width: thin; }
nav summary { display: none; }
nav h2 { font-size: .78rem; margin: 1.2rem 0 .25rem; letter-spacing: .02em; }
nav h2 a { color: var(--ink); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: .5rem; align-items: baseline; padding: .2rem .5rem; border-radius: 5px; color: var(--soft); font-size: .9rem; }
nav li a:hover { background: var(--wash); text-decoration: none; color: var(--ink); }
nav li a[aria-current] { background: var(--mark); color: var(--ink); }
nav .path { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: .8rem; }
.search { position: sticky; top: -1rem; z-index: 1; margin: -1rem -.25rem 0; padding: 1rem .25rem .5rem; background: var(--paper); }
.search input { width: 100%; font: inherit; padding: .4rem .7rem; border: 1px solid var(--line); border-radius: 7px; background: var(--wash); color: inherit; }
.search kbd { position: absolute; right: .9rem; top: 1.5rem; color: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: 0 .4rem; pointer-events: none; background: var(--paper); }
.search input:focus + kbd, .search input:not(:placeholder-shown) + kbd { display: none; }
.none { color: var(--soft); padding: 0 .5rem; }
.starts { margin-top: .4rem; }

.method { text-transform: uppercase; font-weight: 650; font-size: .68rem; letter-spacing: .02em; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .patch { color: var(--patch); } .delete { color: var(--delete); }
nav .method { flex: 0 0 2.9rem; }

main { padding: 0 2.5rem 6rem; min-width: 0; }
main h1 { font-size: 2rem; letter-spacing: -.02em; line-height: 1.2; margin: 2rem 0 .25rem; }
main h2 { font-size: 1.45rem; letter-spacing: -.015em; line-height: 1.25; margin: 0 0 .25rem; }
main h3 { font-size: 1.08rem; line-height: 1.4; margin: 0 0 .3rem; }
main h3 a, main h2 a { color: inherit; }
main h4 { font-size: .82rem; margin: 1.4rem 0 .3rem; color: var(--soft); font-weight: 600; }
.lead { font-size: 1.1rem; color: var(--soft); margin: 0 0 1.2rem; }
.chapter { border-top: 1px solid var(--line); margin-top: 3.5rem; padding-top: 2.2rem; }
.chapter p { color: var(--soft); margin: 0; max-width: 46rem; }
.item { padding: 1.6rem 0; }
.item + .item { border-top: 1px solid var(--line); }
.item:target h3 a { color: var(--link); }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 30rem); gap: 2.5rem; align-items: start; }
.columns > div > :first-child { margin-top: 0; }
.route { margin: 0 0 .7rem; display: flex; gap: .6rem; align-items: baseline; }
.route .method { font-size: .78rem; }
.route code { font-size: .95rem; overflow-wrap: anywhere; }
.roles { color: var(--soft); font-size: .88rem; margin: 0; }
.roles span { background: var(--chip); color: var(--ink); border-radius: 99px; padding: .08rem .55rem; margin: 0 .25rem .25rem 0; display: inline-block; font-size: .8rem; }

.fields { margin: 0; }
.fields > div { padding: .4rem 0; border-top: 1px solid var(--line); }
.fields > div:first-child { border-top: 0; }
dt code { font-weight: 600; font-size: .88em; }
.type { color: var(--soft); font-size: .86rem; }
.answer .needed { display: none; }
.needed { color: var(--delete); font-size: .78rem; }
dd { margin: 0; font-size: .9rem; }
dd p { margin: .05rem 0; }
.limits { color: var(--soft); font-size: .84rem; margin: .1rem 0; overflow-wrap: anywhere; }
.notes { margin: 0; padding-left: 1.1rem; }
.notes li { margin: .3rem 0; }
.is { margin: .3rem 0; color: var(--soft); font-size: .9rem; }
details > summary { cursor: pointer; color: var(--soft); font-size: .86rem; }
dd details[open] { border-left: 2px solid var(--line); padding-left: .8rem; margin: .2rem 0 .3rem; }
.answer { padding: .3rem 0; }
.answer > summary { font-size: .92rem; color: var(--ink); }
.answer > .fields { border-left: 2px solid var(--line); padding-left: .8rem; margin-top: .3rem; }
.status { font-family: var(--mono); font-weight: 650; font-size: .86em; color: var(--get); }
.shape .fields { max-width: 52rem; }

.code { position: sticky; top: 4.2rem; min-width: 0; }
pre { position: relative; margin: 0; padding: .85rem 1rem; background: var(--code-paper); color: var(--code-ink); border: 1px solid var(--line); border-radius: 8px; overflow: auto; max-height: 26rem; line-height: 1.5; tab-size: 2; font-size: .82rem; scrollbar-width: thin; }
pre code { font-size: inherit; }
pre .copy { position: absolute; right: .4rem; top: .4rem; font: 500 .74rem system-ui, sans-serif; color: var(--soft); background: var(--paper); border: 1px solid var(--line); border-radius: 5px; padding: .12rem .5rem; cursor: pointer; opacity: 0; transition: opacity .12s; }
pre:hover .copy, pre .copy:focus-visible { opacity: 1; }
@media (hover: none) { pre .copy { opacity: 1; } }
.example { margin-top: .6rem; }
.example pre { margin-top: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: .82rem; }
th, td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }

.tabs { display: flex; gap: .15rem; margin: 0 0 .4rem; }
.tabs button { font: 500 .8rem system-ui, sans-serif; color: var(--soft); background: none; border: 0; border-radius: 5px; padding: .2rem .55rem; cursor: pointer; }
.tabs button:hover { background: var(--wash); color: var(--ink); }
.tabs button[aria-selected="true"] { background: var(--chip); color: var(--ink); }
.try, .send, .stop, .forget { font: 550 .84rem system-ui, sans-serif; border-radius: 6px; padding: .3rem .8rem; cursor: pointer; border: 1px solid var(--line); background: var(--paper); color: var(--link); }
.try { margin: .6rem 0 0; }
.try:hover, .stop:hover, .forget:hover { background: var(--mark); }
.send { background: var(--link); border-color: var(--link); color: var(--paper); }
.call { margin: .6rem 0 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--wash); }
.call label, .key label { display: block; font-size: .84rem; color: var(--soft); }
.call label { margin: 0 0 .6rem; }
.call details { margin: 0 0 .6rem; }
.call details label { margin-top: .5rem; }
.call input, .call textarea, .key input { display: block; width: 100%; margin-top: .15rem; font: .84rem var(--mono); padding: .38rem .55rem; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px; }
.call textarea { resize: vertical; line-height: 1.5; }
.buttons { display: flex; gap: .5rem; margin: 0; }
.answered { margin: .8rem 0 .35rem; font-size: .84rem; color: var(--soft); overflow-wrap: anywhere; }
.status.failed { color: var(--delete); }
.key { display: flex; flex-wrap: wrap; gap: .5rem .6rem; align-items: end; margin: 1.2rem 0 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--wash); }
.key label { flex: 1 1 14rem; }
.key p { flex-basis: 100%; margin: 0; font-size: .84rem; color: var(--soft); }
.key .wrong { color: var(--delete); }

.welcome { max-width: 44rem; margin: 8vh auto 0; }
.welcome dt { font-weight: 600; }
.welcome .type { font-weight: 400; }

@media (max-width: 80rem) {
  .columns { grid-template-columns: minmax(0, 1fr); gap: 1.2rem; }
  .code { position: static; }
}
@media (max-width: 60rem) {
  .frame { display: block; }
  .top { padding: .75rem 1rem; }
  nav { position: static; height: auto; border: 0; padding: .75rem 1rem 0; }
  nav summary { display: block; padding: .5rem .8rem; background: var(--wash); border: 1px solid var(--line); border-radius: 7px; color: var(--ink); }
  nav li a { padding: .45rem .5rem; }
  nav .path { font-size: .84rem; }
  .search { position: relative; top: 0; margin: .6rem 0 0; padding: 0 0 .4rem; }
  .search kbd { display: none; }
  main { padding: 0 1rem 4rem; }
}
@media print { nav, .raw, pre .copy { display: none; } .frame { display: block; } }
`;
