import { SaxesParser } from 'saxes';
import { badFile } from './faults';

/** The parser keeps a text until its end, so an endless one would fill the memory. */
const MOST_TEXT_BYTES = 8 * 1024 * 1024;

export interface XmlListener {
  open?: (name: string, attributes: Record<string, string>) => void;
  text?: (text: string) => void;
  close?: (name: string) => void;
}

/** Parses XML as a stream, yielding after each chunk. Names have no prefixes. Entities of a DTD are not expanded. */
export async function* readXml(body: AsyncIterable<Buffer>, listener: XmlListener): AsyncIterable<void> {
  const decoder = new TextDecoder('utf-8');
  let sinceTag = 0;
  const parser = new SaxesParser<{ position: false; xmlns: false }>({ position: false, xmlns: false });
  parser.on('error', (error) => {
    throw badFile(`a part of the workbook is no XML: ${error.message}`);
  });
  parser.on('opentag', ({ name, attributes }) => {
    sinceTag = 0;
    listener.open?.(localName(name), attributes);
  });
  parser.on('text', (text) => listener.text?.(text));
  parser.on('closetag', ({ name }) => {
    sinceTag = 0;
    listener.close?.(localName(name));
  });
  for await (const chunk of body) {
    sinceTag += chunk.length;
    if (sinceTag > MOST_TEXT_BYTES) throw badFile('a part of the workbook has a text without an end');
    parser.write(decoder.decode(chunk, { stream: true }));
    yield;
  }
  parser.write(decoder.decode());
  parser.close();
  yield;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}
