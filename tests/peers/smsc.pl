#!/usr/bin/perl
# An SMSC made of Net::SMPP: it takes one link at a time, answers everything, and reports each message as delivered.
# It prints its port; after that one line of JSON when a link has ended. It ends by itself after two minutes.

use strict;
use warnings;
use Net::SMPP;

alarm 120;
$| = 1;
my $listener = Net::SMPP->new_listen('127.0.0.1', port => 0) or die "no port: $!";
print $listener->sockport, "\n";

my $taken = 0;

sub answer {
    my ($link, $pdu, $seen) = @_;
    my $command = $pdu->{cmd};
    if ($command == Net::SMPP::CMD_bind_transceiver) {
        $link->bind_transceiver_resp(system_id => 'NetSMPP', seq => $pdu->{seq});
    } elsif ($command == Net::SMPP::CMD_submit_sm) {
        my $id = 'net-' . ++$taken;
        push @$seen, $pdu->{short_message};
        $link->submit_sm_resp(message_id => $id, seq => $pdu->{seq});
        $link->deliver_sm(
            source_addr => $pdu->{destination_addr}, destination_addr => $pdu->{source_addr}, esm_class => 4, async => 1,
            short_message => "id:$id sub:001 dlvrd:001 submit date:3001011200 done date:3001011200 stat:DELIVRD err:000 text:",
        );
    } elsif ($command == Net::SMPP::CMD_enquire_link) {
        $link->enquire_link_resp(seq => $pdu->{seq});
    } elsif ($command == Net::SMPP::CMD_unbind) {
        $link->unbind_resp(seq => $pdu->{seq});
        return 0;
    }
    return 1;
}

while (my $link = $listener->accept) {
    my (@seen, $receipts_answered);
    while (my $pdu = $link->read_pdu) {
        $receipts_answered++ if $pdu->{cmd} == Net::SMPP::CMD_deliver_sm_resp && $pdu->{status} == 0;
        last unless answer($link, $pdu, \@seen);
    }
    $link->close;
    printf "{\"taken\": %d, \"receipts_answered\": %d, \"last\": \"%s\"}\n",
        scalar @seen, $receipts_answered // 0, @seen ? $seen[-1] : '';
}
