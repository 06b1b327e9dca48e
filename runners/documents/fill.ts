import { readFileSync, writeFileSync } from 'node:fs';
import { templateHelpers } from '@baton/runner-kit';
import Handlebars from 'handlebars';

/*
 * A process of its own, because a template can repeat lists within lists without an end that could be waited for. Reads
 * `input.json` of its folder, and writes `page.html` into it; what is wrong with the template or the data goes to
 * stderr, with exit code 2.
 */

const { template, data } = JSON.parse(readFileSync('input.json', 'utf8')) as {
  template: string;
  data: Record<string, unknown>;
};
const environment = Handlebars.create();
environment.registerHelper(templateHelpers);
try {
  // Strict: a missing value is an error instead of a gap in a document.
  writeFileSync('page.html', environment.compile(template, { strict: true })(data));
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
