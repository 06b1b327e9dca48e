import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** What the coordinator puts the nonce of each answer in place of. */
const NONCE_PLACEHOLDER = '__CSP_NONCE__';

export default defineConfig(({ command }) => ({
  // Addresses in the built page are relative, so that it works under any path of a proxy.
  base: command === 'build' ? './' : '/dashboard/',
  plugins: [react()],
  html: { cspNonce: NONCE_PLACEHOLDER },
  build: {
    target: 'es2022',
    // `data:` addresses in style sheets are forbidden by the policy of the page, but for images.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  // `npm run dev` in this folder: the page comes from here, everything else from a coordinator.
  server: {
    proxy: { '^/(?!dashboard)': { target: process.env['COORDINATOR_URL'] ?? 'http://127.0.0.1:3001' } },
  },
}));
