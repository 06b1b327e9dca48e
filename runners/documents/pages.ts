import type { PageLayout } from './jobs';

const PAPERS_MM = { A3: [297, 420], A4: [210, 297], A5: [148, 210], Letter: [215.9, 279.4], Legal: [215.9, 355.6] };

/** The size and margins of pages, as CSS. */
export function pageStyle({ size, landscape, marginMm, numbers }: PageLayout): string {
  const [width = 0, height = 0] = typeof size === 'string' ? PAPERS_MM[size] : [size.widthMm, size.heightMm];
  const sides = landscape ? [height, width] : [width, height];
  const margins =
    typeof marginMm === 'number' ? [marginMm] : [marginMm.top, marginMm.right, marginMm.bottom, marginMm.left];
  const counted = `@bottom-${numbers} { content: counter(page) " / " counter(pages); font: 9pt sans-serif; }`;
  return `@page { size: ${inMm(sides)}; margin: ${inMm(margins)}; ${numbers === 'none' ? '' : counted} }`;
}

/**
 * The number of pages of a PDF of Chromium, which holds its objects as plain text: trailer, catalog, root of the pages.
 * @throws {Error} for a file of another structure
 */
export function countPages(pdf: Buffer): number {
  const text = pdf.toString('latin1');
  const root = /\/Root (\d+) 0 R/.exec(text.slice(text.lastIndexOf('trailer')))?.[1];
  const pages = /\/Pages (\d+) 0 R/.exec(objectOf(text, root))?.[1];
  const count = /\/Count (\d+)/.exec(objectOf(text, pages))?.[1];
  if (count === undefined) throw new Error('Chromium has written a PDF whose pages cannot be counted');
  return Number(count);
}

function objectOf(text: string, id: string | undefined): string {
  const start = text.lastIndexOf(`\n${id} 0 obj`);
  return start < 0 ? '' : text.slice(start, text.indexOf('endobj', start));
}

function inMm(lengths: number[]): string {
  return lengths.map((length) => `${length}mm`).join(' ');
}
