import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { transformAsync } from "@babel/core";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Lingui's macros (`<Trans>`, t`…`) become ids; TypeScript and JSX are left to Vite. */
function linguiMacros(): Plugin {
  return {
    name: "lingui-macros",
    enforce: "pre",
    async transform(code, id) {
      if (!/\.tsx?$/.test(id) || id.includes("node_modules") || !code.includes("/macro")) return null;
      const done = await transformAsync(code, {
        filename: id,
        babelrc: false,
        configFile: false,
        sourceMaps: true,
        parserOpts: { plugins: ["typescript", "jsx"] },
        plugins: ["@lingui/babel-plugin-lingui-macro"],
      });
      return done?.code == null ? null : { code: done.code, map: done.map as never };
    },
  };
}

/** `import messages from "catalogue:en"`: a catalogue of src/locales, compiled, so that no parser is shipped. */
function catalogues(): Plugin {
  return {
    name: "catalogues",
    resolveId: (id) => (id.startsWith("catalogue:") ? `\0${id}` : null),
    load(id) {
      if (!id.startsWith("\0catalogue:")) return null;
      const file = resolve(import.meta.dirname, `src/locales/${id.slice("\0catalogue:".length)}.json`);
      this.addWatchFile(file);
      const messages = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
      const compiled = Object.entries(messages).filter(([, text]) => text !== "").map(([key, text]) => [key, compileMessage(text)]);
      return `export default ${JSON.stringify(Object.fromEntries(compiled))}`;
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [linguiMacros(), catalogues(), react()],
  worker: { format: "es" },
  build: {
    outDir: "../src/aicflow_console/static",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // they have light-dark(); what replaces it follows no choice
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    reportCompressedSize: true,
  },
  server: {
    // `npm run dev` beside a server: AICFLOW=http://127.0.0.1:8700 npm run dev, then open /console/
    proxy: {
      "/api": { target: process.env["AICFLOW"] ?? "http://127.0.0.1:8700", ws: true },
      "/hooks": { target: process.env["AICFLOW"] ?? "http://127.0.0.1:8700" },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
} as never);
