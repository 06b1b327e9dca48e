/** Drawn here, on a grid of 24: a library of icons is thousands of files for the few that are shown. */
const PATHS = {
  overview: 'M4 13h6V4H4zM14 20h6V4h-6zM4 20h6v-3H4z',
  jobs: 'M4 6h16M4 12h16M4 18h10',
  dead: 'M12 4 2.5 20h19zM12 10v4M12 17v.01',
  queue: 'M4 5h16v4H4zM4 11h16v4H4zM8 19h8',
  runner: 'M4 5h16v10H4zM9 19h6M12 15v4',
  schedule: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16M12 8v4l3 2',
  workflow: 'M4 4h6v5H4zM14 15h6v5h-6zM7 9v8.5h7M14 4h6v5h-6zM10 6.5h4',
  batch: 'M4 8l8-4 8 4-8 4zM4 12l8 4 8-4M4 16l8 4 8-4',
  analytics: 'M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6',
  alert: 'M6 17h12l-1.5-2v-4.5a4.5 4.5 0 0 0-9 0V15zM10.5 20h3',
  webhook: 'M9 8a3 3 0 1 1 4.2 2.7L16 16M7 12a3 3 0 1 0 2.8 4H15M17 19a3 3 0 1 0-1-5',
  key: 'M8.5 11a4 4 0 1 1 0 .01M12.2 13.2 20 21M17 18l2-2',
  audit: 'M6 3h9l4 4v14H6zM9 12h7M9 16h5',
  system:
    'M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M18.4 5.6l-2.2 2.2M7.8 16.2l-2.2 2.2',
  search: 'M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13M15.5 15.5 20 20',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  retry: 'M20 11a8 8 0 1 0-2.3 6M20 5v6h-6',
  cancel: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16M6.5 6.5l11 11',
  remove: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l11 7-11 7z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  edit: 'M4 20l1-4L16 5l3 3L8 19z',
  sun: 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19',
  moon: 'M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z',
  user: 'M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8M4 21c0-4 3.5-6 8-6s8 2 8 6',
  leave: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  right: 'M9 5l7 7-7 7',
  down: 'M5 9l7 7 7-7',
  back: 'M19 12H5M11 6l-6 6 6 6',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1.5 1.5M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1.5-1.5',
  filter: 'M4 5h16l-6 8v6l-4-2v-4z',
  up: 'M12 19V5M6 11l6-6 6 6',
  bolt: 'M13 3 5 14h6l-1 7 8-11h-6z',
  gate: 'M5 21V5h14v16M5 12h14M14 15.5v.01',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d="M3 13 13 3" stroke="var(--baton)" strokeWidth="4" strokeLinecap="round" />
      <path d="M6.4 9.6 9.6 6.4" stroke="var(--card)" strokeWidth="1.4" />
    </svg>
  );
}
