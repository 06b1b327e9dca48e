/**
 * The whole suite shares one PostgreSQL (test/support/global-setup.ts); a test file clones its own database from it.
 */
module.exports = {
  rootDir: __dirname,
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // `npm run test:world` runs these: see jest.world.config.js.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/world/'],
  testEnvironment: 'node',
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  // Tests run the sources, not what was compiled from them.
  moduleNameMapper: {
    '^@baton/coordinator/dist/(.*)$': '<rootDir>/coordinator/$1',
    '^@baton/runner-sdk$': '<rootDir>/runner-sdk/index.ts',
    '^@baton/runner-sdk/protocol$': '<rootDir>/runner-sdk/protocol/index.ts',
    '^@baton/runner-sdk/enqueue$': '<rootDir>/runner-sdk/enqueue.ts',
    '^@baton/runner-sdk/testing$': '<rootDir>/runner-sdk/testing.ts',
    '^@baton/runner-kit$': '<rootDir>/runners/kit/index.ts',
    '^@baton/runner-([a-z]+)/jobs$': '<rootDir>/runners/$1/jobs.ts',
    '^@baton/url-policy$': '<rootDir>/url-policy/index.ts',
  },
  modulePathIgnorePatterns: ['/dist/'],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Every core works, and what takes longest begins first, lest a core waits for it at the end.
  maxWorkers: '100%',
  testSequencer: '<rootDir>/test/support/longest-first.js',
  // Tests await states, each with a deadline of its own; this one ends what hangs, and is for slow machines too.
  testTimeout: 90_000,
};
