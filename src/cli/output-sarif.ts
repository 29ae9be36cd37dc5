import { pathToFileURL } from "node:url";
import { FINDINGS } from "../core/findings.ts";
import type { LocatedReview } from "./output.ts";

/** SARIF 2.1.0, one result a finding. The level is what the finding does here: a denial that only warns is a warning. */
export function renderSarif(reviews: readonly LocatedReview[]): unknown {
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "fairlead",
            rules: Object.entries(FINDINGS).map(([id, { title, explanation }]) => ({
              id,
              shortDescription: { text: title },
              fullDescription: { text: explanation },
            })),
          },
        },
        results: reviews.flatMap(resultsOf),
      },
    ],
  };
}

function resultsOf({ result, file, lineOf }: LocatedReview): readonly unknown[] {
  const subject = `${result.kind} ${result.namespace}/${result.name}`;
  return result.findings.map((item) => ({
    ruleId: item.code,
    level: item.severity === "deny" && !result.allowed ? "error" : "warning",
    message: { text: `${subject}${item.path === "" ? "" : ` ${item.path}`}: ${item.message}; ${item.fix}` },
    locations: [
      { physicalLocation: { artifactLocation: { uri: uriOf(file) }, region: { startLine: lineOf(item.path) } } },
    ],
  }));
}

/** Relative names stay relative, so that a viewer finds them in the checkout; absolute ones need a scheme. */
function uriOf(file: string): string {
  return file.startsWith("/") ? pathToFileURL(file).href : encodeURI(file);
}
