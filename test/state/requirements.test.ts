import type { Labels } from '@baton/runner-sdk/protocol';
import { meets } from '../../coordinator/state/requirements';

test.each<[Labels | null, Labels, boolean]>([
  [null, {}, true],
  [{}, {}, true],
  [{ region: 'eu' }, { region: 'eu', gpu: true }, true],
  [{ region: 'eu' }, { region: 'us' }, false],
  [{ region: 'eu' }, {}, false],
  [{ cores: 4 }, { cores: '4' }, true],
  [{ gpu: true }, { gpu: 'true' }, true],
  [{ memory: '>=40' }, { memory: 40 }, true],
  [{ memory: '>=40' }, { memory: 39.9 }, false],
  [{ memory: '> 40' }, { memory: 40 }, false],
  [{ memory: '<40' }, { memory: '39' }, true],
  [{ memory: '<= 40 ' }, { memory: 40 }, true],
  [{ memory: '>=40' }, { memory: 'much' }, false],
  [{ memory: '>=much' }, { memory: 40 }, false],
  [{ memory: '>=' }, { memory: 40 }, false],
  [{ memory: '>=0' }, { memory: ' ' }, false],
  [{ region: '!=eu' }, { region: 'us' }, true],
  [{ region: '!=eu' }, { region: 'eu' }, false],
  [{ region: '!=eu' }, {}, false],
  [{ region: '=eu' }, { region: 'eu' }, true],
  [{ region: 'eu', memory: '>=40' }, { region: 'eu', memory: 8 }, false],
  [{ constructor: 'Object' }, {}, false],
])('%j is met by %j: %s', (requires, labels, expected) => {
  expect(meets(requires, labels)).toBe(expected);
});
