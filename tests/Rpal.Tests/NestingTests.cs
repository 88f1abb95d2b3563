using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class NestingTests
{
    [Fact]
    public void Calls_nest_through_three_processes() => FamilyRun.Succeeds(
        MemberSpec.Scenario("b", "relay", "b", "c", "4"),
        MemberSpec.Scenario("c", "relay", "c", "b", "4"),
        MemberSpec.Scenario("caller", "nested", "b", "1"));

    [Fact]
    public void Calls_go_back_and_forth_between_services_of_two_other_processes() => FamilyRun.Succeeds(
        MemberSpec.Scenario("b", "relay", "b", "c", "16"),
        MemberSpec.Scenario("c", "relay", "c", "b", "16"),
        MemberSpec.Scenario("caller", "nested", "b", "8"));

    [Theory]
    [InlineData(1, 3)]
    [InlineData(10, 1)]
    [InlineData(10, 3)]
    public void A_handler_calls_back_into_the_process_that_called_it(int depth, int threads) => FamilyRun.Succeeds(
        MemberSpec.Scenario("b", "relay", "b", "a", "32"),
        MemberSpec.Scenario("caller", "mutual", $"{depth}", $"{threads}"));
}
