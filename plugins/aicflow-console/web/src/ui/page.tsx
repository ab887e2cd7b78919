/** The frame of a page: its title (also the document's), where it stands, and what can be done. */
import { useEffect, type ReactNode } from "react";

export interface PageProps {
  title: string;
  crumbs?: ReactNode;
  actions?: ReactNode;
  /** As high as the window, for canvases. */
  full?: boolean;
  heading?: ReactNode;
  children: ReactNode;
}

export function Page({ title, crumbs, actions, full = false, heading, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · AIC Flow`;
  }, [title]);
  return (
    <main className={full ? "main full" : "main"} id="main" tabIndex={-1}>
      <div className="page-head">
        <div>
          {crumbs && <div className="crumbs">{crumbs}</div>}
          <h1>{heading ?? title}</h1>
        </div>
        {actions && <div className="row">{actions}</div>}
      </div>
      {children}
    </main>
  );
}
