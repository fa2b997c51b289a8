"""Every public method of the clients: whether it works against the emulator, and if not, why."""

import httpx

from tests.clients.conftest import Run
from tests.support.emulator import Emulator

WORKS = "works"
NOT_FOUND, NOT_ALLOWED = "404", "405"
THE_CLIENTS = "the client's"

HEADLESS_WORKS = """
    activity_feed build_flow_params build_funnel_params build_params build_retention_params build_user_params
    clear_discovery_cache close cohorts create_annotation create_annotation_tag create_schema create_schemas_bulk
    delete_annotation delete_schemas event_counts events events_for_replay events_for_replays frequency funnel funnels
    get_annotation get_bookmark get_cohort lexicon_schema lexicon_schemas list_annotation_tags list_annotations
    list_bookmarks list_bookmarks_v2 list_cohorts_full list_dashboards list_schema_registry list_workspaces me projects
    properties property_counts property_values query query_flow query_funnel query_retention query_saved_flows
    query_saved_report query_user replays_for_user resolve_workspace_id retention run_flow_params run_funnel_params
    run_params run_retention_params run_user_params saved_report_link segmentation segmentation_average
    segmentation_numeric segmentation_sum stream_events stream_profiles subproperties top_events update_annotation
    update_schema update_schemas_bulk use workspaces
"""
# What became of a method → its names. Nothing here is in the API reference.
HEADLESS_ELSE = {
    # Saved reports, cohorts and dashboards are read, not written.
    NOT_ALLOWED: """
        add_report_to_dashboard bulk_delete_bookmarks bulk_delete_cohorts bulk_delete_dashboards bulk_update_bookmarks
        bulk_update_cohorts create_blueprint create_cohort create_dashboard create_rca_dashboard delete_bookmark
        delete_cohort delete_dashboard remove_report_from_dashboard update_bookmark update_cohort update_dashboard
    """,
    # A dashboard that is not there, or a part of the app API that is not imitated.
    NOT_FOUND: """
        get_dashboard
        bookmark_linked_dashboard_ids favorite_dashboard finalize_blueprint get_blueprint_config
        get_bookmark_dashboard_ids get_bookmark_history get_dashboard_erf list_blueprint_templates pin_dashboard
        unfavorite_dashboard unpin_dashboard update_blueprint_cohorts update_report_link update_text_card
        archive_experiment conclude_experiment create_experiment decide_experiment delete_experiment
        duplicate_experiment get_experiment launch_experiment list_erf_experiments list_experiments restore_experiment
        update_experiment
        archive_feature_flag create_feature_flag delete_feature_flag duplicate_feature_flag get_feature_flag
        get_flag_history get_flag_limits list_feature_flags restore_feature_flag set_flag_test_users
        update_feature_flag
        bulk_delete_alerts create_alert delete_alert get_alert get_alert_count get_alert_history
        get_alert_screenshot_url list_alerts test_alert update_alert validate_alerts_for_bookmark
        create_webhook delete_webhook list_webhooks test_webhook update_webhook
        bulk_update_anomalies bulk_update_event_definitions bulk_update_property_definitions cancel_deletion_request
        create_deletion_request create_drop_filter create_lexicon_tag delete_drop_filter delete_event_definition
        delete_lexicon_tag delete_schema_enforcement export_lexicon get_drop_filter_limits get_event_definitions
        get_event_history get_property_definitions get_property_history get_schema_enforcement get_tracking_metadata
        init_schema_enforcement list_data_volume_anomalies list_deletion_requests list_drop_filters list_lexicon_tags
        preview_deletion_filters replace_schema_enforcement run_audit run_audit_events_only schema_graph
        update_anomaly update_drop_filter update_event_definition update_lexicon_tag update_property_definition
        update_schema_enforcement
        create_custom_property delete_custom_event delete_custom_property get_custom_property list_custom_events
        list_custom_properties update_custom_event update_custom_property validate_custom_property
        delete_lookup_tables download_lookup_table get_lookup_download_url get_lookup_upload_status
        get_lookup_upload_url list_lookup_tables update_lookup_table upload_lookup_table
        delete_behavior delete_behaviors delete_metrics get_behavior get_metric list_behaviors list_metrics
        update_behavior update_metric
        clear_business_context get_business_context get_business_context_chain set_business_context
        analyze_replay fetch_replay fetch_replays sign_replay sign_replays stream_replay
    """,
    # The client itself does not send what these were given; what they would ask is not imitated either.
    THE_CLIENTS: """
        bulk_update_metrics create_behavior create_bookmark create_custom_event create_metric create_report_link
        delete_metric list_replays mark_lookup_table_ready query_report_link resolve_report_link
    """,
}
HEADLESS = {
    **dict.fromkeys(HEADLESS_WORKS.split(), WORKS),
    **{name: outcome for outcome, names in HEADLESS_ELSE.items() for name in names.split()},
}
UTILS_WORKS = """
    deduplicate_people event_counts_to_people export_data export_events export_jql_events export_jql_people
    export_people import_events import_people jql_operation people_add people_append people_change_property_name
    people_delete people_operation people_remove people_revenue_property_from_transactions people_set
    people_set_once people_union people_unset query_engage query_export query_jql query_jql_events
    query_jql_people request sum_transactions
"""
UTILS = {
    **dict.fromkeys(
        UTILS_WORKS.split(),
        WORKS,
    ),
    # They ask another company's service for what they import.
    **dict.fromkeys(["import_from_amplitude", "import_from_amplitude_id_mgmt_v3"], "not called"),
}
LIBRARY_WORKS = """
    group_delete group_remove group_set group_set_once group_union group_unset group_update import_data merge
    people_append people_clear_charges people_delete people_increment people_remove people_set people_set_once
    people_track_charge people_union people_unset people_update track
"""
LIBRARY = {
    **dict.fromkeys(
        LIBRARY_WORKS.split(),
        WORKS,
    ),
    # It makes a consumer of its own for Mixpanel's host, whatever the client was given.
    "alias": "not called",
}


def unexpected(found: dict[str, str], expected: dict[str, str]) -> dict[str, str]:
    """Method → what became of it, where that is not what should have."""

    def is_right(method: str, outcome: str) -> bool:
        if expected[method] == THE_CLIENTS:
            return outcome != WORKS and not outcome.isdecimal()
        return outcome == expected[method]

    return {method: outcome for method, outcome in found.items() if not is_right(method, outcome)}


def nothing_failed_within(emulator: Emulator) -> None:
    """What was asked last is not answered with a failure of the emulator's own, and it goes on."""
    assert not [asked for asked in emulator.requests() if asked["status"] >= 500]
    assert httpx.get(f"{emulator.url}/_emulator/health").status_code == 200


def test_every_public_method_of_mixpanel_headless(run: Run, lent: Emulator) -> None:
    found: dict[str, str] = run(lent, "headless_methods.py")
    assert found.keys() == HEADLESS.keys()
    assert unexpected(found, HEADLESS) == {}
    nothing_failed_within(lent)


def test_every_public_method_of_mixpanel_utils(run: Run, lent: Emulator) -> None:
    found: dict[str, str] = run(lent, "utils_methods.py")
    assert found == UTILS
    nothing_failed_within(lent)


def test_every_public_method_of_mixpanel_s_own_library(run: Run, ledger: Emulator) -> None:
    assert run(ledger, "library_methods.py") == LIBRARY
