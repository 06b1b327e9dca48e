/**
 * What needs more than Node and Chromium: proxies, containers, Prometheus, poolers, failover. Files that end in
 * `.slow.test.ts` run only with `npm run test:world -- --all`.
 */
const base = require('./jest.config');

module.exports = {
  ...base,
  testMatch: ['<rootDir>/test/world/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 300_000,
};
