import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { publishedPackages, ROOT } from '../../scripts/release/packages';
import { dateChangelog, notesOf } from '../../scripts/release/version';

const CHANGELOG = `# Changelog

## [Unreleased]

To become 0.2.0, soon.

### Added

- **A thing**: it does.

## [0.1.0] - 2026-01-01

- The first.
`;

test('a release gives what is unreleased its version and day, and leaves room for what comes', () => {
  const dated = dateChangelog(CHANGELOG, '0.2.0', '2026-12-01');
  expect(dated).toBe(`# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- **A thing**: it does.

## [0.1.0] - 2026-01-01

- The first.
`);
  expect(notesOf(dated, '0.2.0')).toBe('### Added\n\n- **A thing**: it does.');
  expect(() => dateChangelog(dated, '0.3.0', '2026-12-02')).toThrow('CHANGELOG.md says nothing under [Unreleased].');
});

test("the project's own changelog can be released", () => {
  const dated = dateChangelog(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'), '9.9.9', '2026-12-01');
  expect(notesOf(dated, '9.9.9').length).toBeGreaterThan(1000);
});

test('a package comes after those that it needs', () => {
  const names = publishedPackages().map(({ manifest: { name } }) => name);
  for (const [at, { manifest }] of publishedPackages().entries())
    for (const other of Object.keys(manifest.dependencies ?? {}))
      if (names.includes(other)) expect(names.indexOf(other)).toBeLessThan(at);
});
