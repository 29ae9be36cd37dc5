import { GENERATED_BY, yamlDocuments } from "./yaml.ts";

/** The namespace of the release, as a value in a template. */
export const NAMESPACE = "{{ .Release.Namespace }}";

/** One more key in the metadata of every object of the chart. */
const LABELS = '  labels: {{- include "fairlead.labels" . | nindent 4 }}\n';

/** Objects with the chart's labels as a part of a template, there only if the condition holds. */
export interface TemplatePart {
  readonly documents: readonly object[];
  readonly condition?: string | undefined;
}

/** A generated template of the chart. Values may hold Helm expressions. */
export function renderTemplate(parts: readonly TemplatePart[]): string {
  const texts = parts.map(({ documents, condition }) => {
    const text = withMetadata(yamlDocuments(documents), LABELS);
    return condition === undefined ? text : `{{- if ${condition} }}\n${text}{{- end }}\n`;
  });
  return `${GENERATED_BY}\n${texts.join("---\n")}`;
}

/** Adds lines at the end of the metadata of every object. */
export function withMetadata(text: string, lines: string): string {
  return text.replaceAll(/^metadata:\n(?: {2}.*\n)+/gm, (metadata) => metadata + lines);
}

/** A template without expressions: Helm would run what stands in double braces. */
export function chartTemplate(text: string): string {
  const at = text.indexOf("{{");
  if (at >= 0) throw new Error(`Cannot write a chart template: found ${JSON.stringify(text.slice(at, at + 40))}`);
  return text;
}
