using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class WaitingTests
{
    [Theory]
    [InlineData(2, 1, 200_000)]
    [InlineData(16, 1, 200_000)]
    [InlineData(3, 2, 200_000)]
    [InlineData(16, 4, 200_000)]
    [InlineData(4, 8, 200_000)]
    [InlineData(100, 3, 100_000)]
    public void Every_sender_gets_its_answers_however_few_receivers_there_are(int senders, int receivers, int calls) =>
        FamilyRun.Succeeds(MemberSpec.Serves("work", receivers), MemberSpec.Scenario("caller", "crowd", $"{senders}", $"{calls}"));

    [Fact]
    public void A_call_is_busy_at_its_deadline_and_answered_when_a_receiver_is_ready_before() => FamilyRun.CallerSucceeds("busy");

    [Fact]
    public void A_token_ends_the_wait_for_a_receiver() => FamilyRun.CallerSucceeds("cancel");

    [Fact]
    public void Closing_a_service_answers_what_has_begun_and_refuses_what_waits() => FamilyRun.CallerSucceeds("dispose-while-called");
}
