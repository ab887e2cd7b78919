import "@xyflow/react/dist/base.css";
import "./ui/style.css";

import { createRoot } from "react-dom/client";

import { App } from "./app";
import { startLocale } from "./i18n";
import { startTheme } from "./ui/theme";

startTheme();
void startLocale().then(() => createRoot(document.getElementById("app")!).render(<App />));
