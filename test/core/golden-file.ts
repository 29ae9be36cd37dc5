import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import {
  CLUSTER_DOMAIN,
  DEFAULT_NAMESPACE,
  excludedNamespaces,
  parseMesh,
  parseMeshVersion,
  parseMode,
} from "../../src/config.ts";
import type { WorldDefaults } from "../../src/core/world.ts";

/** Compares with the file, or writes it under UPDATE=1; no content asks for no file. */
export function checkGolden(path: string, content = ""): void {
  if (process.env["UPDATE"] === "1") {
    if (content === "") rmSync(path, { force: true });
    else writeFileSync(path, content);
  }
  expect(content, `${basename(path)}; UPDATE=1 rewrites it`).toBe(existsSync(path) ? readFileSync(path, "utf8") : "");
}

/** Flags of a case, from its flags.json. */
export interface GoldenFlags {
  readonly mode?: string;
  readonly mesh?: string;
  readonly meshVersion?: string;
  readonly prune?: boolean;
}

export function goldenFlags(folder: string): GoldenFlags {
  const file = join(folder, "flags.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as GoldenFlags) : {};
}

/** What the flags of a case make of the world, as the CLI does it. */
export function goldenDefaults(folder: string): WorldDefaults {
  const { mode = "enforce", mesh, meshVersion } = goldenFlags(folder);
  return {
    unknownNamespaceMode: parseMode(mode),
    mesh: mesh === undefined ? undefined : parseMesh(mesh),
    meshVersion: parseMeshVersion(meshVersion),
    clusterDomain: CLUSTER_DOMAIN,
    excludedNamespaces: excludedNamespaces(DEFAULT_NAMESPACE),
  };
}
