const Sequencer = require('@jest/test-sequencer').default;

/** Files that take longer than their size tells, the longest first; `npm test` ends with those that took longest. */
const LONGEST = [
  'bench/quick.test.ts',
  'jobs/lifecycle.model.test.ts',
  'dashboard/everywhere.test.ts',
  'http/gate-routes.test.ts',
  'e2e/database-restarts.test.ts',
  'setup/embedded.test.ts',
  'openapi/browser.test.ts',
  'e2e/adopted-database.test.ts',
  'dashboard/screens.test.ts',
  'auth/matrix.test.ts',
];

/** A fresh clone has no times of an earlier run, by which jest would order the files. */
module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const at = LONGEST.findIndex((file) => path.endsWith(`/test/${file}`));
      return at < 0 ? LONGEST.length : at;
    };
    return [...super.sort(tests)].sort((one, other) => rank(one) - rank(other));
  }
};
