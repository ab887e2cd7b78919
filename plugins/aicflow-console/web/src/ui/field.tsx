/** A labelled text field that tells its value when typing pauses. */
import { useEffect, useRef, useState } from "react";
import { Input, Label, SearchField } from "react-aria-components";

export function Search({ label, value, onChange, placeholder = "" }: { label: string; value: string; onChange: (value: string) => void; placeholder?: string }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  return (
    <SearchField
      className="field"
      value={text}
      onChange={(next) => {
        setText(next);
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => onChange(next.trim()), 250);
      }}
    >
      <Label>{label}</Label>
      <Input placeholder={placeholder} />
    </SearchField>
  );
}
