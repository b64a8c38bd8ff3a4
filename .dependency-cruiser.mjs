/**
 * The arrows of the architecture: server → front, manage → kms → cloudhsm → network, hsm,
 * store, reconciler → core; cli is a client. Whatever is not allowed here is an error.
 */

/** Folder (or top-level file) → the folders of ours it may import, itself aside. */
const ARROWS = {
  core: [],
  access: ["core"],
  reconciler: ["core"],
  store: ["core"],
  hsm: ["core"],
  network: ["store", "core"],
  cloudhsm: ["network", "hsm", "store", "reconciler", "core"],
  kms: ["cloudhsm", "network", "hsm", "store", "reconciler", "core"],
  front: ["core"],
  manage: ["kms", "cloudhsm", "network", "hsm", "store", "reconciler", "core"],
  config: ["access", "core"],
  index: ["server", "config", "manage", "core"],
  cli: ["core"],
};

/** A client may read the wire types of the management API; `dev` and `serve` start the server; `doctor` reads its configuration. */
const CLI_ALSO = [
  { from: "^src/cli/", to: "^src/manage/wire\\.ts$" },
  { from: "^src/cli/(serve|dev-box|doctor)\\.ts$", to: "^src/(server|config)\\.ts$" },
];

const place = (name) => `^src/${name}(/|\\.ts$)`;

function arrow([name, allowed]) {
  const also = name === "cli" ? CLI_ALSO.map((exception) => exception.to) : [];
  return {
    name: `arrows-of-${name}`,
    severity: "error",
    from: { path: place(name) },
    to: { path: "^src/", pathNot: [...[name, ...allowed].map(place), ...also] },
  };
}

/** A package that only one folder may import. */
const only = (folder, packages) => ({
  name: `only-${folder}-imports-${packages[0]}`,
  severity: "error",
  from: { path: "^src/", pathNot: place(folder) },
  to: { path: packages.map((name) => `(^|node_modules/)${name}(/|$)`) },
});

export default {
  forbidden: [
    ...Object.entries(ARROWS).map(arrow),
    {
      name: "every-room-is-known",
      comment: "a new folder in src needs its arrows above",
      severity: "error",
      from: {},
      to: { path: "^src/[^/]+/", pathNot: Object.keys(ARROWS).map(place) },
    },
    {
      name: "only-the-root-composes",
      comment: "server.ts and the parts beside it may import every room; no room may import them",
      severity: "error",
      from: { path: ["^src/[^/]+/", "^src/(reconciler|config)\\.ts$"], pathNot: "^src/cli/" },
      to: { path: "^src/[^/]+\\.ts$", pathNot: place("reconciler") },
    },
    {
      name: "the-root-is-no-client",
      severity: "error",
      from: { path: "^src/[^/]+\\.ts$" },
      to: { path: ["^src/cli/", "^src/index\\.ts$"] },
    },
    {
      name: "cli-starts-servers-in-one-place",
      severity: "error",
      from: { path: "^src/cli/", pathNot: CLI_ALSO[1].from },
      to: { path: "^src/(server|config)\\.ts$" },
    },
    only("hsm", ["graphene-pk11", "pkcs11js"]),
    {
      name: "only-hsm-loads-the-addon",
      severity: "error",
      from: { path: "^src/", pathNot: place("hsm") },
      to: { path: "^native/" },
    },
    only("store", ["better-sqlite3"]),
    only("manage", ["express", "prom-client"]),
    only("cli", ["commander"]),
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-dev-dependencies",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["types", "import", "node", "default"],
    },
  },
};
