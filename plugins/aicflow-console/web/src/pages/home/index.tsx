/** Where `/` leads: to the first steps while there are no workflows, else to what there is. */
import { useQuery } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { Redirect } from "wouter";

import { api, data } from "../../api/client";
import { Page } from "../../ui/page";
import { Loading } from "../../ui/states";
import { isWelcomeOver } from "../../ui/welcome";

export default function HomePage() {
  const { t } = useLingui();
  const workflows = useQuery({
    queryKey: ["workflows", "any"],
    queryFn: () => data(api.GET("/api/v1/workflows", { params: { query: { limit: 1 } } })),
    enabled: !isWelcomeOver(),
    retry: false,
  });
  if (workflows.isPending && workflows.fetchStatus === "fetching") {
    return (
      <Page title={t`Home`}>
        <Loading />
      </Page>
    );
  }
  return <Redirect to={workflows.data?.data.length === 0 ? "/welcome" : "/workflows"} replace />;
}
