/** A form made from a JSON Schema: flat objects get fields, everything else is written as JSON. The server checks it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { Button } from "react-aria-components";

export type JsonSchema = Record<string, unknown>;

interface Field {
  name: string;
  schema: JsonSchema;
  required: boolean;
}

function kindOf(schema: JsonSchema): "boolean" | "number" | "string" | "enum" | "json" {
  if (Array.isArray(schema["enum"])) return "enum";
  const type = Array.isArray(schema["type"]) ? schema["type"].find((one) => one !== "null") : schema["type"];
  if (type === "boolean") return "boolean";
  if (type === "number" || type === "integer") return "number";
  return type === "string" ? "string" : "json";
}

/** The fields of a flat object schema; null when the value is to be written as JSON. */
export function fieldsOf(schema: unknown): Field[] | null {
  if (schema === null || typeof schema !== "object") return null;
  const { properties, required } = schema as { properties?: Record<string, JsonSchema>; required?: string[] };
  if (properties === undefined || Object.keys(properties).length === 0) return null;
  return Object.entries(properties).map(([name, one]) => ({ name, schema: one, required: (required ?? []).includes(name) }));
}

/** What a field's text means. Throws SyntaxError for JSON that is none. */
export function valueOf(field: Field, text: string): unknown {
  const kind = kindOf(field.schema);
  if (kind === "boolean") return text === "true";
  if (text === "" && !field.required) return undefined;
  if (kind === "number") return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
  if (kind === "enum") return (field.schema["enum"] as unknown[]).find((one) => String(one) === text);
  return kind === "string" ? text : JSON.parse(text);
}

export interface SchemaFormProps {
  schema: unknown;
  initial?: unknown;
  submit: string;
  busy: boolean;
  onSubmit: (value: unknown) => void;
}

export function SchemaForm({ schema, initial, submit, busy, onSubmit }: SchemaFormProps) {
  const { t } = useLingui();
  const fields = fieldsOf(schema);
  const given = initial !== null && typeof initial === "object" ? (initial as Record<string, unknown>) : {};
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(
      (fields ?? []).map(({ name, schema: one }) => {
        const value = given[name] ?? one["default"];
        return [name, value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value)];
      }),
    ),
  );
  const [json, setJson] = useState(() => (initial === undefined ? "" : JSON.stringify(initial, null, 2)));
  const [wrong, setWrong] = useState<string | null>(null);
  const send = () => {
    setWrong(null);
    try {
      if (fields === null) onSubmit(json.trim() === "" ? null : JSON.parse(json));
      else {
        const all = fields.map((field) => [field.name, valueOf(field, values[field.name] ?? "")] as const);
        onSubmit(Object.fromEntries(all.filter(([, value]) => value !== undefined)));
      }
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {fields === null ? (
        <label className="field">
          <span className="label">
            <Trans>Value, as JSON</Trans>
          </span>
          <textarea value={json} onChange={(event) => setJson(event.target.value)} spellCheck={false} />
        </label>
      ) : (
        fields.map((field) => (
          <label className="field" key={field.name}>
            <span className="label">
              <code>{field.name}</code> {field.required && <Trans>(required)</Trans>}{" "}
              {typeof field.schema["description"] === "string" && <span lang="en">{field.schema["description"]}</span>}
            </span>
            <Input field={field} value={values[field.name] ?? ""} onChange={(value) => setValues({ ...values, [field.name]: value })} yes={t`Yes`} no={t`No`} />
          </label>
        ))
      )}
      {wrong && (
        <p role="alert" className="error" lang="en" style={{ color: "var(--failed)" }}>
          {wrong}
        </p>
      )}
      <div>
        <Button className="button primary" type="submit" isDisabled={busy}>
          {submit}
        </Button>
      </div>
    </form>
  );
}

function Input({ field, value, onChange, yes, no }: { field: Field; value: string; onChange: (value: string) => void; yes: string; no: string }) {
  const kind = kindOf(field.schema);
  if (kind === "boolean" || kind === "enum") {
    const choices: [string, string][] = kind === "enum" ? (field.schema["enum"] as unknown[]).map((one) => [String(one), String(one)]) : [["true", yes], ["false", no]];
    return (
      <select value={value} onChange={(event) => onChange(event.target.value)} required={field.required} data-text>
        {kind === "enum" && <option value="" />}
        {choices.map(([choice, label]) => (
          <option key={choice} value={choice}>
            {label}
          </option>
        ))}
      </select>
    );
  }
  if (kind === "json") return <textarea value={value} onChange={(event) => onChange(event.target.value)} spellCheck={false} />;
  return <input type={kind === "number" ? "number" : "text"} step="any" value={value} required={field.required} onChange={(event) => onChange(event.target.value)} />;
}
