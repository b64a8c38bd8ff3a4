/**
 * The suite. Tests are TypeScript, but HSM workers are child processes that plain Node
 * starts from dist/hsm/worker.js, and the command line is tested as dist/cli/main.js: so
 * `make build` goes before the tests, and `make test` sees to it.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A PKCS#11 library keeps its state per process.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ["default", "./test/reporter.ts"],
  },
});
