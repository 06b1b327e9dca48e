import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

/** Around the blue of the API reference. */
const blue: MantineColorsTuple = [
  '#edf3ff',
  '#d9e4fb',
  '#aec6f6',
  '#80a5f2',
  '#5989ee',
  '#4078ec',
  '#316fec',
  '#2560d2',
  '#1f5fd0',
  '#0d4aa5',
];

export const theme = createTheme({
  colors: { blue },
  primaryColor: 'blue',
  primaryShade: { light: 8, dark: 7 },
  autoContrast: true,
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontWeight: '650', sizes: { h1: { fontSize: '1.375rem' }, h2: { fontSize: '1.0625rem' } } },
});

/** The library's own greys for what is said quietly are too pale to be read by everybody (WCAG AA). */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#566069',
    '--mantine-color-placeholder': '#68727d',
    '--mantine-color-error': '#b91c2c',
    '--mantine-color-anchor': '#1f5fd0',
    '--mantine-color-body': '#ffffff',
  },
  dark: {
    '--mantine-color-dimmed': '#9aa4af',
    '--mantine-color-placeholder': '#8b95a0',
    '--mantine-color-error': '#ff8a94',
    '--mantine-color-anchor': '#8ab4ff',
    '--mantine-color-body': '#111418',
    '--mantine-color-default': '#1a1f25',
    '--mantine-color-default-hover': '#222831',
    '--mantine-color-default-border': '#333c46',
    '--mantine-color-text': '#dfe4ea',
  },
});
