import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Failure } from '../exit-codes';

/**
 * A program of the coordinator's package, which is installed beside this one where it is needed: in the folder where
 * the command is called, or next to this package.
 * @throws {Failure} when it is not installed
 */
export function coordinatorProgram(name: 'main' | 'migrate'): string {
  for (const place of [join(process.cwd(), 'package.json'), __filename]) {
    try {
      return createRequire(place).resolve(`@baton/coordinator/dist/${name}.js`);
    } catch {
      continue;
    }
  }
  throw new Failure(
    'usage',
    'the coordinator is not installed here',
    'Run: npm install @baton/coordinator. What only calls a coordinator, such as baton jobs, does not need it.',
  );
}
