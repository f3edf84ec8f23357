import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const studio = process.env.STUDIO_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  base: "/",
  build: {
    outDir: "dist",
    // Files instead of data: URLs, so that a strict content security policy holds.
    assetsInlineLimit: 0,
    sourcemap: false,
    target: "es2022",
  },
  server: {
    proxy: {
      "/api": { target: studio, changeOrigin: false },
      "/media": studio,
      "/sign-in/": studio,
      "/ws": { target: studio, ws: true },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"] },
});
