import { defineConfig, globalIgnores } from 'eslint/config';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';
import { noObjectAsMap } from './scripts/lint/no-object-as-map.mjs';

/** Where a person reads the output at a terminal. */
const speaksToTerminal = ['scripts/**', 'runner-sdk/cli/**', 'runners/*/cli.ts'];

export default defineConfig(
  globalIgnores(['**/dist/', '**/node_modules/', '**/generated/', 'coverage/', '.baton/']),
  {
    files: ['**/*.{ts,tsx}'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/return-await': ['error', 'in-try-catch'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // The reason of an AbortSignal is unknown by type.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: true },
      ],
      // Objects here are closures, whose methods know no `this`; classes are not taken apart.
      '@typescript-eslint/unbound-method': 'off',
      // An async function may fulfil an interface without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
    },
  },
  {
    files: ['**/*.{ts,tsx,js,mjs}'],
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      // Branches of one function; more are read better as several functions.
      complexity: ['error', 20],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-else-return': 'error',
      'no-eval': 'error',
      'no-restricted-exports': [
        'error',
        {
          restrictDefaultExports: {
            direct: true,
            named: true,
            defaultFrom: true,
            namedFrom: true,
            namespaceFrom: true,
          },
        },
      ],
      'no-template-curly-in-string': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: ['dashboard/**/*.{ts,tsx}'],
    plugins: { 'react-hooks': reactHooks },
    rules: {
      // The plugin's other rules are for React's compiler, which does not build these pages.
      'react-hooks/rules-of-hooks': 'error',
      'react-hooks/exhaustive-deps': 'error',
      // Conditions of markup count too.
      complexity: ['error', 30],
    },
  },
  { files: ['dashboard/public/*.js'], rules: { 'no-var': 'off' } },
  {
    files: ['**/*.{ts,tsx}'],
    // Tests look up what they themselves have named.
    ignores: ['test/**'],
    plugins: { baton: { rules: { 'no-object-as-map': noObjectAsMap } } },
    rules: { 'baton/no-object-as-map': 'error' },
  },
  {
    // Jest's matchers are `any` by type.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  // Tools want their configuration, and jest its set-up, as the default export.
  {
    files: ['*.config.{ts,js,mjs}', 'test/support/global-*.ts', '**/vite.config.ts'],
    rules: { 'no-restricted-exports': 'off' },
  },
  { files: speaksToTerminal, rules: { 'no-console': 'off' } },
);
