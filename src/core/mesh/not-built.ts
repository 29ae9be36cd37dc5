import { type Finding, finding } from "../finding.ts";
import type { Intent, Section } from "../intent/intent.ts";
import type { MeshName } from "../names.ts";

/** Sections that the mesh could have, and for which Fairlead writes nothing. */
export function notBuilt(intent: Intent, sections: readonly Section[], mesh: MeshName): readonly Finding[] {
  return sections
    .filter((section) => intent[section] !== undefined)
    .map((section) =>
      finding("FL310", `spec.${section}`, {
        message: `Fairlead does not write ${section} for ${mesh}`,
        fix: `remove it, and write the objects of ${mesh} by hand`,
      }),
    );
}
